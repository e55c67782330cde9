import { averagePool, convolution } from '../engine/image-functions.js';
import { type Tensor, tf } from '../engine/tf.js';
import { normaliseBatch } from './batch-norm.js';
import { type Parameters, parameter } from './parameters.js';

/*
 * What the residual networks of SimCLR v2 (Chen et al. 2020, arXiv 2006.10029, google-research/simclr) have beside those of He
 * et al.: selective kernels (Li et al. 2019) in place of convolutions of 3 x 3 pixels, and shortcuts as in ResNet-D (He et al.
 * 2019, section 4.2).
 *
 * Letters: B images, C channels, H and W height and width, M channels that the choice between streams is made of.
 */

/** M is this part of C, the official code's `sk_ratio`, but never less than so many. */
const SQUEEZED = 0.0625;
const LEAST_SQUEEZED = 32;

/** The two layers of one pixel that choose between streams of C channels: their kernels, [M, C, 1, 1] and [2 C, M, 1, 1]. */
export function selectionKernels(channels: number) {
  const squeezed = Math.max(Math.floor(channels * SQUEEZED), LEAST_SQUEEZED);
  return { conv1: [squeezed, channels, 1, 1], conv2: [2 * channels, squeezed, 1, 1] } as const;
}

/**
 * The choice between two streams U and V, channel by channel for each image (Li et al. 2019, equations 1 to 6; both streams
 * have kernels of 3 x 3 pixels here, as in the official code):
 *
 *   s = mean over places of U + V;  z = ReLU(BN(W₁ s));  a, b = W₂ z;  y = σ(a - b) U + (1 - σ(a - b)) V
 *
 * where σ(a - b) is the first of the softmax of a and b.
 * @param name of the layers: `conv1`, `bn1`, `conv2`
 * @param streams U over V, [2 C, B, H, W]
 * @returns [C, B, H, W]
 */
export function select(parameters: Parameters, name: string, streams: Tensor): Tensor {
  const weight = (layer: string) => parameter(parameters, `${name}.${layer}.weight`);
  const [u, v] = tf.split(streams, 2, 0); // [C, B, H, W]
  const seen = u.add(v).mean([2, 3], true); // [C, B, 1, 1]
  const squeezed = tf.relu(normaliseBatch(parameters, `${name}.bn1`, convolution(seen, weight('conv1')))); // [M, B, 1, 1]
  const [a, b] = tf.split(convolution(squeezed, weight('conv2')), 2, 0); // [C, B, 1, 1]
  return u
    .sub(v)
    .mul(tf.sigmoid(a.sub(b)))
    .add(v);
}

/**
 * What a shortcut of ResNet-D sees: means of 2 x 2 places. With a stride of 1 of each place and those after it, as far as there
 * are any; with 2 of squares side by side, with zeros after an odd side. Both are the official code's borders.
 * @param x [C, B, H, W]
 * @returns [C, B, H, W] or [C, B, ⌈H / 2⌉, ⌈W / 2⌉]
 */
export function pooledShortcut(x: Tensor, stride: number): Tensor {
  if (stride === 1) return withNext(withNext(x, 2), 3);
  const [, , height, width] = x.shape as [number, number, number, number];
  const even = tf.pad(x, [
    [0, 0],
    [0, 0],
    [0, height % 2],
    [0, width % 2],
  ]);
  return averagePool(even, 2);
}

/** Means of each place along an axis and the next one; of the last one alone. */
function withNext(x: Tensor, axis: number): Tensor {
  const length = x.shape[axis] as number;
  if (length === 1) return x;
  const [, rest] = tf.split(x, [1, length - 1], axis);
  const last = length === 2 ? rest : tf.split(rest, [length - 2, 1], axis)[1];
  return tf.concat([rest, last], axis).add(x).mul(0.5);
}
