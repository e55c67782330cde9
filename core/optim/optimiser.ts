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
