import { type Scalar, type Tensor, tf } from '../engine/tf.js';
import type { LossName } from './choices.js';

/**
 * The distance between predicted and target representations, both [M, J, D], as a mean over all elements.
 *
 * l2: (p - t)². smooth-l1: with d = |p - t|, d² / 2 where d < 1, d - 1/2 elsewhere.
 */
export function predictionLoss(name: LossName, predicted: Tensor, target: Tensor): Scalar {
  if (predicted.shape.join() !== target.shape.join()) {
    throw new Error(`the loss expected predictions of [${target.shape}], received [${predicted.shape}]`);
  }
  const difference = predicted.sub(target);
  return name === 'l2' ? difference.square().mean() : smoothL1(difference).mean();
}

/** q²/2 + (d - q) with d = |x|, q = min(d, 1): the two branches without a choice. */
function smoothL1(x: Tensor): Tensor {
  const distance = x.abs();
  const near = tf.minimum(distance, 1);
  return near.square().mul(0.5).add(distance.sub(near));
}
