import type { Engine } from '../engine/contract.js';
import { type Tensor, tf } from '../engine/tf.js';

/** The optimisers that there are; the first is the usual one. */
export const OPTIMISER_NAMES = ['adamw', 'sgd', 'lars', 'muon'] as const;
export type OptimiserName = (typeof OPTIMISER_NAMES)[number];

/** A trained parameter: its value, what the optimiser keeps of it, and the moving averages that follow it. */
export type ParameterState = {
  readonly value: Tensor;
  readonly slots: Readonly<Record<string, Tensor>>;
  readonly averages: readonly Tensor[];
};

/** With what a parameter takes a step, counted from 1. */
export interface ParameterRates {
  readonly step: number;
  readonly learningRate: number;
  readonly weightDecay: number;
  /** μ of each moving average: θ̄ ← μ θ̄ + (1 - μ) θ. */
  readonly emaDecays: readonly number[];
}

/** A parameter that is to take a step. */
export interface ParameterStep extends ParameterState {
  readonly gradient: Tensor;
  readonly rates: ParameterRates;
}

/** The state after a step, and Σ θ² of the new values. */
export type UpdatedParameter = ParameterState & { readonly squares: number };

/** Pure: states in, states out. The given tensors are used up, but for the gradients. */
export interface Optimiser {
  readonly name: OptimiserName;
  /** What it keeps of each parameter between steps; zeros before the first one. */
  readonly slotNames: readonly string[];
  /** Parameters of these shapes that take their steps together, by their places: only they are held twice at a time. */
  groups(shapes: readonly (readonly number[])[]): number[][];
  /**
   * The steps of one group.
   * @returns what becomes of each, in the same order
   */
  update(group: readonly ParameterStep[]): Promise<UpdatedParameter[]>;
}

/** `groups` of an optimiser to which each parameter is a group of its own. */
export function alone(shapes: readonly unknown[]): number[][] {
  return shapes.map((_, at) => [at]);
}

/** The steps of all parameters, group after group. @returns what becomes of each, in the same order */
export async function takeSteps(
  optimiser: Optimiser,
  parameters: readonly ParameterStep[],
): Promise<UpdatedParameter[]> {
  const updated: UpdatedParameter[] = [];
  for (const group of optimiser.groups(parameters.map(({ value }) => value.shape))) {
    const after = await optimiser.update(group.map((at) => parameters[at]));
    for (const [which, at] of group.entries()) updated[at] = after[which];
  }
  return updated;
}

/** μ and 1 - μ of a moving average as scalars: the difference is taken before it is rounded. */
export function emaWeights(decay: number): { kept: Tensor; added: Tensor } {
  return { kept: tf.scalar(decay), added: tf.scalar(1 - decay) };
}

/** A moving average after a step, by plain operations: μ θ̄ + (1 - μ) θ. */
export function movingAverage(average: Tensor, value: Tensor, { kept, added }: ReturnType<typeof emaWeights>): Tensor {
  return average.mul(kept).add(value.mul(added));
}

/** A parameter, and the velocity with which it moves. */
export type Moving = { value: Tensor; velocity: Tensor };

/** What moves a parameter, with the rates of its step as scalars. */
export type PlainStep<Rates> = Moving & { readonly gradient: Tensor; readonly rates: Rates };

/**
 * What updates parameters that have a velocity, and the moving averages that follow them, by plain operations, all of them in one
 * graph. Everything given is used up, but for the gradients.
 * @param step of the parameters alone
 */
export function plainUpdate<Rates extends Readonly<Record<string, Tensor>>>(
  engine: Pick<Engine, 'compile'>,
  step: (parameters: readonly PlainStep<Rates>[]) => Moving[],
) {
  type Given = PlainStep<Rates> & Pick<ParameterState, 'averages'>;
  type Weights = ReturnType<typeof emaWeights>[];
  const compute = engine.compile((given: readonly Given[], weights: readonly Weights[]) =>
    tf.tidy(() =>
      step(given).map((next, at) => ({
        ...next,
        averages: given[at].averages.map((average, which) => movingAverage(average, next.value, weights[at][which])),
        squares: next.value.square().sum(),
      })),
    ),
  );
  return async (given: readonly Given[], emaDecays: readonly (readonly number[])[]) => {
    const weights = emaDecays.map((decays) => decays.map(emaWeights));
    const updated = await compute(given, weights);
    const result: (Moving & Pick<UpdatedParameter, 'averages' | 'squares'>)[] = [];
    for (const { squares, ...next } of updated) result.push({ ...next, squares: (await squares.data())[0] });
    tf.dispose([
      weights,
      given.map(({ gradient: _, averages, ...own }) => [own, [...averages]]),
      updated.map(({ squares }) => squares),
    ] as Parameters<typeof tf.dispose>[0]);
    return result;
  };
}
