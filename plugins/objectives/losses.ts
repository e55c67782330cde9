import type { PredictionLoss, Tensor, TensorFlow } from '../../core/plugin.js';

/** (p - t)². */
export const l2: PredictionLoss = {
  name: 'l2',
  summary: "the paper's squared distance, as a mean over blocks, patches and features, so that sizes can be compared",
  compute: (_tf, predicted, target) => predicted.sub(target).square().mean(),
};

/** With d = |p - t|, d² / 2 where d < 1, d - 1/2 elsewhere. */
export const smoothL1: PredictionLoss = {
  name: 'smooth-l1',
  summary: "the reference code's: squared below a distance of 1, linear above",
  compute: (tf, predicted, target) => huber(tf, predicted.sub(target).abs()).mean(),
};

/** q²/2 + (d - q) with q = min(d, 1): the two branches without a choice. */
function huber(tf: TensorFlow, distance: Tensor): Tensor {
  const near = tf.minimum(distance, 1);
  return near.square().mul(0.5).add(distance.sub(near));
}
