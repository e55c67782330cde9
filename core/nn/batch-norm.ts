import type { Tensor } from '../engine/tf.js';

/** PyTorch's. */
const EPSILON = 1e-5;

/**
 * Batch normalisation (Ioffe and Szegedy 2015) by the statistics of the rows that are given:
 *
 *   y = γ (x - mean) / √(variance + ε) + β
 *
 * with mean and (biased) variance of each feature over all other axes. A loss over the whole batch applies it to the rows of
 * all parts and ranks.
 * @param x [..., C]
 * @param scale γ, [C]; null for 1
 * @param bias β, [C]; null for 0
 */
export function batchNorm(x: Tensor, scale: Tensor | null, bias: Tensor | null, epsilon = EPSILON): Tensor {
  const axes = Array.from({ length: x.rank - 1 }, (_, axis) => axis);
  const centred = x.sub(x.mean(axes, true)); // [..., C]
  const variance = centred.square().mean(axes, true); // [1, ..., C]
  const y = centred.div(variance.add(epsilon).sqrt());
  const scaled = scale ? y.mul(scale) : y;
  return bias ? scaled.add(bias) : scaled;
}
