import { mapValues } from '../base/map-values.js';
import type { Tensor } from '../engine/tf.js';
import type { Method, Networks } from '../methods/method.js';
import { type Optimiser, takeSteps } from '../optim/optimiser.js';
import type { TrainState } from './state.js';

/** The scheduled numbers of one step: learning rate, weight decay, and the method's own by name. */
export interface StepRates {
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly [own: string]: number;
}

/**
 * Updates trained networks and the moving averages that follow them; the given state is used up. Engines do both in one pass
 * over memory.
 * @returns networks and slots after, and the norm of the new weights, which tells whether they are still finite
 */
export async function updateNetworks(
  method: Pick<Method, 'networks'>,
  optimiser: Optimiser,
  { step, networks, slots }: Pick<TrainState, 'step' | 'networks' | 'slots'>,
  gradients: Networks,
  rates: StepRates,
): Promise<Pick<TrainState, 'networks' | 'slots'> & { weightNorm: number }> {
  const next: Record<string, Record<string, Tensor>> = mapValues(networks, (parameters) => ({ ...parameters }));
  const nextSlots = mapValues(slots, (all) => mapValues(all, (parameters) => ({ ...parameters })));
  let sum = 0;
  for (const [network, ownGradients] of Object.entries(gradients)) {
    const { role } = method.networks[network];
    const { policy = {}, steps = null } = role.by === 'gradient' ? role : {};
    const { isDecayed, learningRateFactor } = policy;
    const ownStep = steps === null ? step + 1 : rateOf(rates, steps);
    if (ownStep === 0) continue;
    const followers = followersOf(method, network);
    const names = Object.keys(ownGradients);
    const followersFor = (name: string) => followers.filter((follower) => networks[follower.name]?.[name]);
    const updated = await takeSteps(
      optimiser,
      names.map((name) => {
        const value = networks[network][name];
        const following = followersFor(name);
        const decays = isDecayed ? isDecayed(name, value.shape) : value.shape.length > 1;
        return {
          value,
          slots: mapValues(slots, (all) => all[network][name]),
          averages: following.map((follower) => networks[follower.name][name]),
          gradient: ownGradients[name],
          rates: {
            step: ownStep,
            learningRate: learningRateFactor ? rates.learningRate * learningRateFactor(name) : rates.learningRate,
            weightDecay: decays ? rates.weightDecay : 0,
            emaDecays: following.map(({ decay }) => rateOf(rates, decay)),
          },
        };
      }),
    );
    for (const [at, { value, slots: kept, averages, squares }] of updated.entries()) {
      const name = names[at];
      next[network][name] = value;
      for (const slot of optimiser.slotNames) nextSlots[slot][network][name] = kept[slot];
      for (const [which, follower] of followersFor(name).entries()) next[follower.name][name] = averages[which];
      sum += squares;
    }
  }
  return { networks: next, slots: nextSlots, weightNorm: Math.sqrt(sum) };
}

function rateOf(rates: StepRates, name: string): number {
  const rate = rates[name];
  if (rate === undefined) throw new Error(`a step received no rate '${name}'`);
  return rate;
}

/** The networks that follow another one as moving averages, each with the name of the rate that is its decay. */
export function followersOf({ networks }: Pick<Method, 'networks'>, network: string) {
  return Object.entries(networks).flatMap(([name, { role }]) =>
    role.by === 'ema' && role.of === network ? [{ name, decay: role.decay }] : [],
  );
}
