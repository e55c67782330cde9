import { type Tensor, tf } from './tf.js';
import { columnsOf, paddedBy, placed, sidesOf, tapsOf, type Window } from './windows.js';

/*
 * The functions that a convolutional network is made of. Images lie channel by channel, [C, B, H, W]: so convolutions are
 * products of one matrix, and a channel's statistics are those of a row, on every engine.
 *
 * Letters: B images, C channels, H and W their height and width, O output channels, k side of a kernel, s stride, p padding,
 * H' = ⌊(H + 2p - k) / s⌋ + 1, and W' as well.
 */

/** What runtimes have of their own for these functions; without gradients, which are made of them here. */
export interface ImageFunctions {
  /** x [C, B, H, W], weight [O, C, k, k] -> [O, B, H', W'] */
  convolution(x: Tensor, weight: Tensor, window: Window): Tensor;
  /** The gradient by x: dy [O, B, H', W'] -> [C, B, H, W]. @param sides H, W */
  convolutionInputGradient(dy: Tensor, weight: Tensor, window: Window, sides: readonly [number, number]): Tensor;
  /** x [C, B, H, W] -> [C, B, H', W'] */
  maxPool(x: Tensor, window: Window): Tensor;
}

/** Versions of their own by the name of the TensorFlow.js backend that has them. */
export const ownImageFunctions = new Map<string, ImageFunctions>();

/** The functions made of plain operations: convolutions as products with what each kernel sees. */
const plainImageFunctions: ImageFunctions = {
  convolution(x, weight, window) {
    const [outputs] = weight.shape;
    const sides = sidesOf(x, window);
    const columns = columnsOf(x, window); // [k k C, B H' W']
    return tf.matMul(byTap(weight), columns).reshape([outputs, x.shape[1] as number, ...sides]);
  },
  convolutionInputGradient(dy, weight, window, sides) {
    const [outputs, channels] = weight.shape as [number, number];
    const images = dy.shape[1] as number;
    const seen = tf.matMul(byTap(weight).transpose(), dy.reshape([outputs, -1])); // [k k C, B H' W']
    const taps = tf.split(seen.reshape([-1, images, ...dy.shape.slice(2)]), window.side ** 2);
    if (taps[0].shape[0] !== channels) throw new Error('a convolution received a gradient of another shape');
    return placed(taps, window, sides);
  },
  maxPool: (x, window) => tapsOf(paddedBy(x, window.padding, Number.NEGATIVE_INFINITY), window).reduce(tf.maximum),
};

/** The kernel's elements one after the other, each with all channels: [O, C, k, k] -> [O, k k C]. */
function byTap(weight: Tensor): Tensor {
  return weight.transpose([0, 2, 3, 1]).reshape([weight.shape[0], -1]);
}

/** A kernel of one pixel is a product of matrices, which is fastest as such. */
function active({ side }: Window): ImageFunctions {
  return (side > 1 && ownImageFunctions.get(tf.getBackend())) || plainImageFunctions;
}

/**
 * The convolution of neural networks (a cross-correlation), without bias, as PyTorch's `conv2d`:
 *
 *   y[o, b, i, j] = Σ_c Σ_u Σ_v w[o, c, u, v] x[c, b, s i + u - p, s j + v - p], 0 outside of the image
 *
 * @param x [C, B, H, W]
 * @param weight [O, C, k, k], as PyTorch stores it
 * @returns [O, B, H', W']
 */
export function convolution(x: Tensor, weight: Tensor, { stride = 1, padding = 0 } = {}): Tensor {
  const [, channels, side, width] = weight.shape as [number, number, number, number];
  if (x.rank !== 4 || x.shape[0] !== channels || side !== width) {
    throw new Error(`convolution expected x of [${channels}, B, H, W] and a square kernel, received [${x.shape}]`);
  }
  const window = { side, stride, padding };
  const sides = [x.shape[2], x.shape[3]] as const;
  return tf.customGrad((input, kernel, save) => {
    (save as (tensors: Tensor[]) => void)([input as Tensor, kernel as Tensor]);
    return {
      value: active(window).convolution(input as Tensor, kernel as Tensor, window),
      gradFunc: (dy, saved) => {
        const [x0, w0] = saved as [Tensor, Tensor];
        return [
          active(window).convolutionInputGradient(dy, w0, window, sides as [number, number]),
          ofWeight(dy, x0, w0, window),
        ];
      },
    };
  })(x, weight);
}

/** The gradient by the kernel: dy [O, B, H', W'], x [C, B, H, W] -> [O, C, k, k] */
function ofWeight(dy: Tensor, x: Tensor, weight: Tensor, window: Window): Tensor {
  const [outputs, channels, side] = weight.shape as [number, number, number];
  const product = tf.matMul(dy.reshape([outputs, -1]), columnsOf(x, window), false, true); // [O, k k C]
  return product.reshape([outputs, side, side, channels]).transpose([0, 3, 1, 2]);
}

/**
 * The largest of each window of side k, s apart, with a border of p that is never the largest. The gradient goes to the first
 * of equal ones, row by row, as in PyTorch.
 * @param x [C, B, H, W]
 * @returns [C, B, H', W']
 */
export function maxPool(x: Tensor, window: Window): Tensor {
  const [height, width] = x.shape.slice(2) as [number, number];
  return tf.customGrad((input, save) => {
    const value = active(window).maxPool(input as Tensor, window);
    (save as (tensors: Tensor[]) => void)([input as Tensor, value]);
    return {
      value,
      gradFunc: (dy, saved) => {
        const [x0, y0] = saved as [Tensor, Tensor];
        let left = tf.onesLike(dy); // 1 where the largest has not been met yet
        const taps = tapsOf(paddedBy(x0, window.padding, Number.NEGATIVE_INFINITY), window).map((tap) => {
          const met = tf.equal(tap, y0).cast('float32').mul(left);
          left = left.sub(met);
          return dy.mul(met);
        });
        return placed(taps, window, [height, width]);
      },
    };
  })(x);
}

/**
 * Means of squares of side s that lie side by side; what is left over at the right and below is not seen.
 * @param x [C, B, H, W]
 * @returns [C, B, ⌊H / s⌋, ⌊W / s⌋]
 */
export function averagePool(x: Tensor, side: number): Tensor {
  const [channels, images, ...sides] = x.shape as [number, number, number, number];
  const [height, width] = sides.map((length) => Math.floor(length / side)) as [number, number];
  return tf
    .slice(x, [0, 0, 0, 0], [channels, images, height * side, width * side])
    .reshape([channels * images * height, side, width, side])
    .mean([1, 3])
    .reshape([channels, images, height, width]);
}

/**
 * Batch normalisation (Ioffe and Szegedy 2015) by the statistics of the images that are given:
 *
 *   y = (x - μ) / √(σ² + ε) γ + β, with each channel's mean μ and variance σ² over images and places
 *
 * @param x [C, ...], all axes but the first are places
 * @param scale γ [C]
 * @param bias β [C]
 * @returns y [C, ...], μ and σ² [C], which have no gradient
 */
export function batchNorm(x: Tensor, scale: Tensor, bias: Tensor, epsilon: number) {
  const channels = scale.size;
  if (x.shape[0] !== channels) throw new Error(`batchNorm expected x of [${channels}, ...], received [${x.shape}]`);
  const rows = x.reshape([channels, -1]); // [C, M]
  const mean = rows.mean(1, true); // [C, 1]
  const variance = rows.sub(mean).square().mean(1, true); // [C, 1]
  const y = tf.customGrad((input, gain, shift, save) => {
    const inverseStd = tf.rsqrt(variance.add(epsilon)); // [C, 1]
    const normalised = (input as Tensor).sub(mean).mul(inverseStd); // [C, M]
    const column = (gain as Tensor).reshape([channels, 1]);
    (save as (tensors: Tensor[]) => void)([normalised, inverseStd, column]);
    return {
      value: normalised.mul(column).add((shift as Tensor).reshape([channels, 1])),
      gradFunc: (dy, saved) => {
        const [n, r, g] = saved as [Tensor, Tensor, Tensor];
        const along = dy.mul(n).mean(1, true); // [C, 1]
        const centre = dy.mean(1, true); // [C, 1]
        const dx = dy.sub(centre).sub(n.mul(along)).mul(g.mul(r)); // [C, M]
        const places = dy.shape[1] as number;
        return [dx, along.mul(places).reshape([channels]), centre.mul(places).reshape([channels])];
      },
    };
  })(rows, scale, bias);
  return { y: y.reshape(x.shape), mean: mean.reshape([channels]), variance: variance.reshape([channels]) };
}
