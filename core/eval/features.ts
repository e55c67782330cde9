import { RandomStream } from '../base/random.js';
import type { ImageItem, LabelledImages } from '../contract/data-sets.js';
import { toNormalised } from '../data/normalise.js';
import { compileWhole, type Engine } from '../engine/contract.js';
import { type Tensor, tf } from '../engine/tf.js';
import type { Backbone } from '../nn/backbone.js';
import { tokensFrom } from '../nn/vit.js';
import { type CacheSettings, type FeaturePiece, openFeatureCache } from './features-cache.js';
import { type FeatureNetwork, networkBackbone } from './network.js';
import { pickSamples, type Samples } from './samples.js';
import { testView, trainView, type UnreadableImage, UnreadableList, viewBatches } from './views.js';

/**
 * Features of labelled images, image by image and view by view: average-pooled patch tokens of the last four layers (of all
 * where there are fewer) side by side, each through the encoder's final LayerNorm.
 */
export interface FeatureTable extends Samples {
  /** The names of the images, M. */
  readonly names: readonly string[];
  /** Images that could not be read and have no rows. */
  readonly unreadable: readonly UnreadableImage[];
}

export interface ExtractOptions extends CacheSettings {
  /** Rows that are computed at once. */
  batchSize: number;
  /** Folder in which features are kept for the next time; null: none. */
  cache: string | null;
  /** Images that are decoded at the same time; default: twice the cores. */
  workers?: number;
  /** Images of more pixels than this cannot be read. */
  pixelLimit: number;
  /** Fraction of the images that may be unreadable; they get no row. Default: 0. */
  maxUnreadable?: number;
  /**
   * Takes the patch tokens of each batch, [B N D], in the order of rows; the features are then those of the last layer alone,
   * L = 1. A cache keeps no tokens.
   */
  onTokens?: (tokens: Float32Array) => Promise<void>;
  /** Rows that are there, of all. */
  onProgress?: (done: number, total: number) => void;
  /** Ends the extraction after the batch that is being computed, with its reason. */
  signal?: AbortSignal;
}

/** How many of the last layers a network's features have, L. */
function featureLayers({ size: { depth } }: FeatureNetwork): number {
  return Math.min(4, depth);
}

/**
 * Computes the features of images, or takes them from the cache.
 *
 * Images are decoded in sharp's threads while the engine computes the batch before; at most two batches of them wait.
 * With a cache, every batch is stored as soon as it is computed, so that an interrupted extraction goes on with the next
 * one.
 * @throws UserError if more images than allowed cannot be read, or the cache cannot be written
 */
export async function extractFeatures(
  engine: Engine,
  network: FeatureNetwork,
  images: LabelledImages,
  options: ExtractOptions,
): Promise<FeatureTable> {
  const { signal, onProgress, onTokens, views, seed } = options;
  const perImage = views === 'test' ? 1 : views;
  const [rows, width, layers] = [images.length * perImage, network.size.dim, onTokens ? 1 : featureLayers(network)];
  const columns = layers * width;
  const imageOf = (row: number) => Math.floor(row / perImage);
  const table = {
    rows,
    width,
    layers,
    data: new Float32Array(rows * columns),
    labels: Int32Array.from({ length: rows }, (_, row) => images.classOf(imageOf(row))),
    names: rowNames(images, views),
  };
  const missing = new Set(table.names.keys());
  const add = ({ rows, features }: FeaturePiece) => {
    for (const [at, row] of rows.entries()) {
      table.data.set(features.subarray(at * columns, (at + 1) * columns), row * columns);
      missing.delete(row);
    }
  };
  const report = () => onProgress?.(rows - missing.size, rows);
  const cache = options.cache === null ? null : await openFeatureCache(options.cache, network, images, options);
  for await (const piece of cache?.pieces(rows, columns) ?? []) add(piece);
  report();

  const unreadable = new UnreadableList(images.length, options.maxUnreadable);
  if (missing.size > 0) {
    const wanted = [...missing];
    const imageAt = (turn: number) => imageOf(wanted[turn]);
    const settings = { ...options, imageSize: network.imageSize };
    const viewOf = (item: ImageItem, turn: number) => {
      if (views === 'test') return testView(item, settings);
      return trainView(item, settings, new RandomStream(seed, 'view', imageAt(turn), wanted[turn] % perImage));
    };
    const { compute, dispose } = onTokens ? prepareTokens(engine, network) : prepareFeatures(engine, network);
    try {
      signal?.throwIfAborted();
      const plan = { ...options, turns: wanted.length, imageAt, viewOf };
      for await (const { turns, rgb } of viewBatches(images, plan, unreadable)) {
        if (turns.length > 0) {
          const computed = await compute(toNormalised(rgb));
          await onTokens?.(computed);
          const features = onTokens ? meanTokens(computed, turns.length, width) : computed;
          const piece = { rows: Int32Array.from(turns, (turn) => wanted[turn]), features };
          add(piece);
          await cache?.store(piece);
        }
        report();
        signal?.throwIfAborted();
      }
    } finally {
      dispose();
    }
  }
  if (missing.size === 0) return { ...table, unreadable: unreadable.images };
  const present = Uint32Array.from(table.names.keys()).filter((row) => !missing.has(row));
  const names = Array.from(present, (row) => table.names[row]);
  return { ...pickSamples(table, present), names, unreadable: unreadable.images };
}

/** The name of the image of each row, where none is left out. */
export function rowNames(images: LabelledImages, views: CacheSettings['views']): string[] {
  const perImage = views === 'test' ? 1 : views;
  return Array.from({ length: images.length * perImage }, (_, row) => images.item(Math.floor(row / perImage)).name);
}

/**
 * Makes batches of normalised images [B, S, S, 3] as large as the largest before, with black ones at the end: engines
 * compile for one size then, and what an image gives does not depend on how many come with it.
 */
export function equalBatches(imageSize: number) {
  const imageLength = imageSize * imageSize * 3;
  let largest = 0;
  return (images: Float32Array) => {
    const imageCount = images.length / imageLength;
    largest = Math.max(largest, imageCount);
    let filled = images;
    if (imageCount < largest) {
      filled = new Float32Array(largest * imageLength);
      filled.set(images);
    }
    return { input: tf.tensor4d(filled, [largest, imageSize, imageSize, 3]), imageCount };
  };
}

/** Prepares a network for an engine: features [B, L D] of normalised images [B, S, S, 3]; `dispose` when done. */
export function prepareFeatures(engine: Engine, network: FeatureNetwork) {
  const layers = featureLayers(network);
  return prepare(engine, network, (backbone, images) => backbone.features(network.encoder, images, layers));
}

/** The same for patch tokens [B, N, D] after the last LayerNorm, without the class token. */
function prepareTokens(engine: Engine, network: FeatureNetwork) {
  const first = network.size.classToken ? 1 : 0;
  return prepare(engine, network, (backbone, images) => tokensFrom(backbone.forward(network.encoder, images), first));
}

function prepare(engine: Engine, network: FeatureNetwork, fn: (backbone: Backbone, images: Tensor) => Tensor) {
  const backbone = networkBackbone(network);
  const forward = compileWhole(engine, (_: null, images: Tensor) => tf.tidy(() => fn(backbone, images)));
  const inEqualBatches = equalBatches(network.imageSize);
  return {
    async compute(images: Float32Array): Promise<Float32Array> {
      const { input, imageCount } = inEqualBatches(images);
      const features = await forward(null, input);
      input.dispose();
      const values = (await features.data()) as Float32Array;
      features.dispose();
      return values.subarray(0, (values.length / input.shape[0]) * imageCount);
    },
    dispose: () => backbone.dispose(),
  };
}

/** The mean over the patch tokens of each image, [B, N, D] -> [B, D]. */
function meanTokens(tokens: Float32Array, imageCount: number, width: number): Float32Array {
  const perImage = tokens.length / imageCount;
  const part = width / perImage; // 1 / N
  const sums = new Float64Array(imageCount * width);
  for (let at = 0; at < tokens.length; at++)
    sums[Math.floor(at / perImage) * width + (at % width)] += tokens[at] * part;
  return Float32Array.from(sums);
}
