import type { Engine } from '../engine/contract.js';
import type { Tensor } from '../engine/tf.js';
import type { AdamSettings, ParameterSlot } from '../engine/update.js';
import { type Parameters, parameter } from '../nn/parameters.js';
import { updateRates } from '../optim/adamw.js';
import type { StepRates, TrainState } from './step.js';

/**
 * Updates weights, moments and target encoder, one parameter after the other, so that hardly more than one state is ever
 * held: the given state is used up.
 * @returns the state after, and the norm of the new weights, which tells whether they are still numbers
 */
export async function updateState(
  engine: Engine,
  adam: AdamSettings,
  state: TrainState,
  gradients: Parameters,
  rates: StepRates,
): Promise<{ state: TrainState; weightNorm: number }> {
  const step = state.step + 1;
  const numbers = updateRates(step, adam, rates);
  const slots: Record<string, ParameterSlot> = {};
  let sum = 0;
  for (const [name, gradient] of Object.entries(gradients)) {
    const { slot, squares } = await engine.updateParameter(slotOf(state, name), gradient, numbers, adam);
    slots[name] = slot;
    sum += squares;
  }
  return { state: stateOf(step, slots), weightNorm: Math.sqrt(sum) };
}

/** A parameter's slot in a state, by a name such as 'encoder.norm.weight'. */
function slotOf({ weights, moments }: TrainState, name: string): ParameterSlot {
  const network = name.startsWith('encoder.') ? 'encoder' : 'predictor';
  const short = name.slice(network.length + 1);
  return {
    value: parameter(weights[network], short),
    first: parameter(moments.first, name),
    second: parameter(moments.second, name),
    ...(network === 'encoder' && { target: parameter(weights.target, short) }),
  };
}

/** The state of which these are the slots. */
function stateOf(step: number, slots: Readonly<Record<string, ParameterSlot>>): TrainState {
  const collect = (part: keyof ParameterSlot, prefix = ''): Parameters =>
    Object.fromEntries(
      Object.entries(slots)
        .filter(([name]) => name.startsWith(prefix))
        .map(([name, slot]) => [name.slice(prefix.length), slot[part] as Tensor]),
    );
  return {
    step,
    weights: {
      encoder: collect('value', 'encoder.'),
      predictor: collect('value', 'predictor.'),
      target: collect('target', 'encoder.'),
    },
    moments: { first: collect('first'), second: collect('second') },
  };
}
