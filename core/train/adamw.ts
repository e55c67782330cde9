import { type Tensor, tf } from '../engine/tf.js';
import { parameter as of, type Parameters } from '../model/parameters.js';

/** Moments of the gradients, by parameter name. */
export type AdamState = {
  /** Moving average of the gradients. */
  first: Parameters;
  /** Moving average of their squares. */
  second: Parameters;
};

export interface AdamSettings {
  learningRate: number;
  weightDecay: number;
  beta1: number;
  beta2: number;
  epsilon: number;
}

/** Moments before the first step. */
export function initialAdamState(parameters: Parameters): AdamState {
  const zeros = () =>
    Object.fromEntries(Object.entries(parameters).map(([name, tensor]) => [name, tf.zeros(tensor.shape)]));
  return { first: zeros(), second: zeros() };
}

/**
 * One step of Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2; PyTorch's AdamW):
 *
 *   θ ← θ (1 - η λ);  m ← β₁ m + (1 - β₁) g;  v ← β₂ v + (1 - β₂) g²
 *   θ ← θ - η / (1 - β₁ᵗ) · m / (√v / √(1 - β₂ᵗ) + ε)
 *
 * Biases and other one-dimensional parameters are not decayed. New tensors are returned; the old ones stay the caller's.
 * @param step counted from 1
 */
export function adamwStep(
  parameters: Parameters,
  gradients: Parameters,
  state: AdamState,
  step: number,
  settings: AdamSettings,
): { parameters: Parameters; state: AdamState } {
  const updates = Object.entries(parameters).map(([name, value]) => {
    const update = updateOne(value, of(gradients, name), of(state.first, name), of(state.second, name), step, settings);
    return [name, update] as const;
  });
  const collect = (part: keyof Update): Parameters =>
    Object.fromEntries(updates.map(([name, update]) => [name, update[part]]));
  return { parameters: collect('parameter'), state: { first: collect('first'), second: collect('second') } };
}

/** One parameter and its moments after a step. */
type Update = { parameter: Tensor; first: Tensor; second: Tensor };

function updateOne(
  value: Tensor,
  gradient: Tensor,
  first: Tensor,
  second: Tensor,
  step: number,
  { learningRate, weightDecay, beta1, beta2, epsilon }: AdamSettings,
): Update {
  return tf.tidy(() => {
    const m = first.mul(beta1).add(gradient.mul(1 - beta1));
    const v = second.mul(beta2).add(gradient.square().mul(1 - beta2));
    const direction = m.div(
      v
        .sqrt()
        .div(Math.sqrt(1 - beta2 ** step))
        .add(epsilon),
    );
    const decayed = isDecayed(value) ? value.mul(1 - learningRate * weightDecay) : value;
    const stepSize = learningRate / (1 - beta1 ** step);
    return { parameter: decayed.sub(direction.mul(stepSize)), first: m, second: v };
  });
}

/** Whether weight decay applies: to matrices and kernels, not to biases and scales. */
function isDecayed(parameter: Tensor): boolean {
  return parameter.shape.length > 1;
}
