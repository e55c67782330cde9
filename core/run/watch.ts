import { Matrix, SingularValueDecomposition } from 'ml-matrix';
import { UserError } from '../base/errors.js';
import { RandomStream } from '../base/random.js';
import type { ImageCollection, ImageItem } from '../contract/data-sets.js';
import { centreCrop } from '../data/crop.js';
import { toNormalised } from '../data/normalise.js';
import { unreadableReason } from '../data/skipped.js';
import { type Tensor, tf } from '../engine/tf.js';
import type { Backbone } from '../nn/backbone.js';
import type { Parameters } from '../nn/parameters.js';

/**
 * RankMe (Garrido et al. 2023): exp(-Σ pₖ ln pₖ) with pₖ = σₖ / Σ σ, the singular values of the features.
 * @param features row by row, [n, D]
 */
export function rankMe(features: Float32Array, rows: number): number {
  const width = features.length / rows;
  const matrix = new Matrix(
    Array.from({ length: rows }, (_, row) => [...features.subarray(row * width, (row + 1) * width)]),
  );
  const singular = new SingularValueDecomposition(matrix, {
    computeLeftSingularVectors: false,
    computeRightSingularVectors: false,
    autoTranspose: true,
  }).diagonal;
  const total = singular.reduce((sum, value) => sum + value, 0);
  if (total === 0) return 1;
  return Math.exp(
    -singular.reduce((sum, value) => sum + (value > 0 ? (value / total) * Math.log(value / total) : 0), 0),
  );
}

/** Mean over features of their standard deviation over rows; features row by row, [n, D]. */
export function meanStd(features: Float32Array, rows: number): number {
  const width = features.length / rows;
  let sum = 0;
  for (let column = 0; column < width; column++) {
    let mean = 0;
    let squares = 0;
    for (let row = 0; row < rows; row++) mean += (features[row * width + column] as number) / rows;
    for (let row = 0; row < rows; row++) squares += ((features[row * width + column] as number) - mean) ** 2;
    sum += Math.sqrt(squares / rows);
  }
  return sum / width;
}

/**
 * The fixed images that a run observes: chosen by the seed, the middle square of each.
 * @returns the images, and their normalised pixels, [n, S, S, 3]
 */
export async function loadWatchImages(
  images: ImageCollection,
  count: number,
  imageSize: number,
  seed: number,
  pixelLimit: number,
): Promise<{ images: ImageItem[]; pixels: Float32Array }> {
  const order = new RandomStream(seed, 'watch').permutation(images.length);
  const wanted = Math.min(count, images.length);
  const read: { item: ImageItem; crop: Uint8Array }[] = [];
  for (let from = 0; read.length < wanted && from < order.length; from += wanted) {
    const items = [...order.subarray(from, from + wanted)].map((index) => images.item(index));
    const crops = items.map((item) =>
      centreCrop(item, imageSize, pixelLimit).catch((error: unknown) => void unreadableReason(error)),
    );
    for (const [at, crop] of (await Promise.all(crops)).entries()) {
      if (crop && read.length < wanted) read.push({ item: items[at] as ImageItem, crop });
    }
  }
  if (read.length < 2) {
    throw new UserError(`hardly any of the ${images.length} images in ${images.description} can be read`, {
      expected: 'images that can be read (JPEG, PNG, WebP, AVIF, GIF, TIFF)',
    });
  }
  return { images: read.map(({ item }) => item), pixels: toNormalised(read.map(({ crop }) => crop)) };
}

/**
 * The features that are judged downstream: an encoder's patch tokens, averaged, row by row, [n, D].
 * @param images [n, S, S, 3]
 * @param together images that are encoded at once
 */
export async function pooledFeatures(
  { imageSize: side, encoder: { dim }, features: featuresOf }: Backbone,
  encoder: Parameters,
  images: Float32Array,
  together: number,
): Promise<Float32Array> {
  const pixels = side * side * 3;
  const rows = images.length / pixels;
  const features = new Float32Array(rows * dim);
  for (let from = 0; from < rows; from += together) {
    const to = Math.min(rows, from + together);
    const pooled: Tensor = tf.tidy(() => {
      const part = tf.tensor4d(images.subarray(from * pixels, to * pixels), [to - from, side, side, 3]);
      return featuresOf(encoder, part, 1); // [n, D]
    });
    features.set(await pooled.data(), from * dim);
    pooled.dispose();
  }
  return features;
}
