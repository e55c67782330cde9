import { type Tensor, tf } from './tf.js';

/** A parameter, the moving averages of its gradient and of the gradient's square, and the target encoder's copy. */
export type ParameterSlot = { value: Tensor; first: Tensor; second: Tensor; target?: Tensor };

/** What a step's number, learning rate η, weight decay λ and momentum come to. */
export interface UpdateRates {
  /** 1 - η λ */
  keep: number;
  /** η / (1 - β₁ᵗ) */
  stepSize: number;
  /** √(1 - β₂ᵗ) */
  rootCorrection: number;
  /** Of the target encoder's moving average. */
  momentum: number;
}

/** What stays the same over a run. */
export interface AdamSettings {
  beta1: number;
  beta2: number;
  epsilon: number;
}

export interface UpdatedParameter {
  slot: ParameterSlot;
  /** Σ θ² of the new values. */
  squares: number;
}

/**
 * One step of Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2; PyTorch's AdamW), and of the
 * target encoder's moving average (paper, section 3):
 *
 *   θ ← θ (1 - η λ);  m ← β₁ m + (1 - β₁) g;  v ← β₂ v + (1 - β₂) g²
 *   θ ← θ - η / (1 - β₁ᵗ) · m / (√v / √(1 - β₂ᵗ) + ε)
 *   θ̄ ← μ θ̄ + (1 - μ) θ
 *
 * Biases and other one-dimensional parameters are not decayed. The old tensors are disposed of, or hold the new values:
 * only those that are given back may be used. The gradient stays the caller's.
 */
export type UpdateParameter = (
  slot: ParameterSlot,
  gradient: Tensor,
  rates: UpdateRates,
  adam: AdamSettings,
) => Promise<UpdatedParameter>;

/** Whether weight decay applies: to matrices and kernels, not to biases and scales. */
export function isDecayed(parameter: Tensor): boolean {
  return parameter.shape.length > 1;
}

/** The update made of plain operations, for every engine. */
export const updateParameter: UpdateParameter = async (slot, gradient, rates, { beta1, beta2, epsilon }) => {
  const { keep, stepSize, rootCorrection, momentum } = rates;
  const { updated, sum } = tf.tidy(() => {
    const m = slot.first.mul(beta1).add(gradient.mul(1 - beta1));
    const v = slot.second.mul(beta2).add(gradient.square().mul(1 - beta2));
    const direction = m.div(v.sqrt().div(rootCorrection).add(epsilon));
    const decayed = isDecayed(slot.value) ? slot.value.mul(keep) : slot.value;
    const value = decayed.sub(direction.mul(stepSize));
    const target = slot.target?.mul(momentum).add(value.mul(1 - momentum));
    return {
      updated: { value, first: m, second: v, ...(target && { target }) },
      sum: value.square().sum(),
    };
  });
  tf.dispose(slot);
  const squares = (await sum.data())[0] as number;
  sum.dispose();
  return { slot: updated, squares };
};

/** The sum made of a plain operation, for every engine. */
export async function accumulate(sum: Tensor, addend: Tensor): Promise<Tensor> {
  const added = sum.add(addend);
  tf.dispose([sum, addend]);
  return added;
}
