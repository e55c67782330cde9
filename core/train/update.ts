import { mapValues } from '../base/map-values.js';
import type { Tensor } from '../engine/tf.js';
import type { Method, Networks } from '../methods/method.js';
import type { Optimiser } from '../optim/optimiser.js';
import { decaysMatrices } from '../optim/policy.js';
import { type TrainState, tensorsOf } from './state.js';

/** The scheduled numbers of one step: learning rate, weight decay, and the method's own by name. */
export interface StepRates {
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly [own: string]: number;
}

/**
 * Updates trained networks and the moving averages that follow them, one parameter after the other, so that hardly more
 * than one state is ever held: the given state is used up. Engines do both in one pass over memory.
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
  for (const [network, name, gradient] of tensorsOf(gradients)) {
    const policy = policyOf(method, network);
    const followers = followersOf(method, network).filter(({ name: follower }) => networks[follower]?.[name]);
    const value = networks[network]?.[name] as Tensor;
    const updated = await optimiser.update(
      {
        value,
        slots: mapValues(slots, (all) => all[network]?.[name] as Tensor),
        averages: followers.map((follower) => networks[follower.name]?.[name] as Tensor),
      },
      gradient,
      {
        step: step + 1,
        learningRate: rates.learningRate * (policy.learningRateFactor?.(name) ?? 1),
        weightDecay: (policy.isDecayed ?? decaysMatrices)(name, value.shape) ? rates.weightDecay : 0,
        emaDecays: followers.map(({ decay }) => rateOf(rates, decay)),
      },
    );
    (next[network] as Record<string, Tensor>)[name] = updated.value;
    for (const [slot, tensor] of Object.entries(updated.slots))
      (nextSlots[slot]?.[network] as Record<string, Tensor>)[name] = tensor;
    for (const [at, follower] of followers.entries())
      (next[follower.name] as Record<string, Tensor>)[name] = updated.averages[at] as Tensor;
    sum += updated.squares;
  }
  return { networks: next, slots: nextSlots, weightNorm: Math.sqrt(sum) };
}

function rateOf(rates: StepRates, name: string): number {
  const rate = rates[name];
  if (rate === undefined) throw new Error(`a step received no rate '${name}'`);
  return rate;
}

function policyOf({ networks }: Pick<Method, 'networks'>, network: string) {
  const role = networks[network]?.role;
  return (role?.by === 'gradient' && role.policy) || {};
}

/** The networks that follow another one as moving averages. */
function followersOf({ networks }: Pick<Method, 'networks'>, network: string): { name: string; decay: string }[] {
  return Object.entries(networks).flatMap(([name, { role }]) =>
    role.by === 'ema' && role.of === network ? [{ name, decay: role.decay }] : [],
  );
}
