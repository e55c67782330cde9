import type { AdamSettings, Engine } from '../engine/contract.js';
import type { Tensor } from '../engine/tf.js';

/** A trained parameter: its value, what the optimiser keeps of it, and the moving averages that follow it. */
export interface ParameterState {
  readonly value: Tensor;
  readonly slots: Readonly<Record<string, Tensor>>;
  readonly averages: readonly Tensor[];
}

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
  readonly name: string;
  /** What it keeps of each parameter between steps; zeros before the first one. */
  readonly slotNames: readonly string[];
  /** @returns the state after, and Σ θ² of the new values */
  update(state: ParameterState, gradient: Tensor, rates: ParameterRates): Promise<ParameterState & { squares: number }>;
}

/**
 * Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2; PyTorch's AdamW), with the engine's own
 * kernel, which moves the first moving average in the same pass.
 */
export function adamw(engine: Pick<Engine, 'updateParameter'>, settings: AdamSettings): Optimiser {
  const { beta1, beta2 } = settings;
  return {
    name: 'adamw',
    slotNames: ['first', 'second'],
    async update({ value, slots, averages }, gradient, { step, learningRate, weightDecay, emaDecays }) {
      const [target, ...others] = averages;
      if (others.length > 0) throw new Error('two moving averages of one network');
      const { first, second } = slots as { first: Tensor; second: Tensor };
      const { slot, squares } = await engine.updateParameter(
        { value, first, second, ...(target && { target }) },
        gradient,
        {
          decayFactor: 1 - learningRate * weightDecay,
          stepSize: learningRate / (1 - beta1 ** step),
          sqrtBiasCorrection2: Math.sqrt(1 - beta2 ** step),
          emaDecay: emaDecays[0] ?? 1,
        },
        settings,
      );
      return {
        value: slot.value,
        slots: { first: slot.first, second: slot.second },
        averages: slot.target ? [slot.target] : [],
        squares,
      };
    },
  };
}
