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

/** Pure: state in, state out. The given tensors are used up, but for the gradient. */
export interface Optimiser {
  readonly name: OptimiserName;
  /** What it keeps of each parameter between steps; zeros before the first one. */
  readonly slotNames: readonly string[];
  /** @returns the state after, and Σ θ² of the new values */
  update(state: ParameterState, gradient: Tensor, rates: ParameterRates): Promise<ParameterState & { squares: number }>;
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

/**
 * What updates a parameter that has a velocity, and the moving averages that follow it, by plain operations. Everything given
 * is used up, but for the gradient.
 * @param step of the parameter alone, with rates of its own
 */
export function plainUpdate<Rates extends Readonly<Record<string, Tensor>>>(
  engine: Pick<Engine, 'compile'>,
  step: (moving: Moving, gradient: Tensor, rates: Rates) => Moving,
) {
  type Given = Moving & Pick<ParameterState, 'averages'>;
  type Weights = ReturnType<typeof emaWeights>[];
  const compute = engine.compile(({ averages, ...moving }: Given, gradient: Tensor, rates: Rates, weights: Weights) =>
    tf.tidy(() => {
      const next = step(moving, gradient, rates);
      return {
        ...next,
        averages: averages.map((average, at) => movingAverage(average, next.value, weights[at])),
        squares: next.value.square().sum(),
      };
    }),
  );
  return async (given: Given, gradient: Tensor, rates: Rates, emaDecays: readonly number[]) => {
    const weights = emaDecays.map(emaWeights);
    const { squares, ...next } = await compute(given, gradient, rates, weights);
    const [sum] = await squares.data();
    tf.dispose([given.value, given.velocity, [...given.averages], rates, weights, squares]);
    return { ...next, squares: sum };
  };
}
