import { inOrder } from '../base/pool.js';
import { RandomStream } from '../base/random.js';
import { toNormalised } from '../data/normalise.js';
import { unreadableReason } from '../data/skipped.js';
import type { Engine } from '../engine/contract.js';
import { type Tensor, tf } from '../engine/tf.js';
import { availableCores } from '../engine/threads.js';
import type { FeatureKind, Interpolation, LabelledImages } from '../plugin.js';
import { type FeatureCache, openFeatureCache } from './features-cache.js';
import { type FeatureNetwork, networkBackbone } from './network.js';
import { PartialTable } from './partial-table.js';
import { testView, trainView } from './transform.js';
import { type UnreadableImage, UnreadableShare } from './unreadable.js';

/**
 * Features of labelled images: average-pooled patch tokens of the last layers side by side, each through the encoder's
 * final LayerNorm.
 *
 * Letters: M rows, L layers (the last four, or all where there are fewer), D width.
 */
export interface FeatureTable {
  /** M: image by image, view by view. */
  readonly rows: number;
  /** D */
  readonly width: number;
  /** L */
  readonly layers: number;
  /** [M, L D]; the last layer's are the last D columns. */
  readonly data: Float32Array;
  /** [M] */
  readonly labels: Int32Array;
  /** The names of the images, M. */
  readonly names: readonly string[];
  /** Images that could not be read and have no rows. */
  readonly unreadable: readonly UnreadableImage[];
}

export interface ExtractOptions {
  /** The test view of each image, or so many random training views. */
  views: 'test' | number;
  transform: 'crop' | 'squash';
  /** How images are resized; default: bicubic. */
  interpolation?: Interpolation;
  /** Rows that are computed at once. */
  batchSize: number;
  /** Of the random views. */
  seed: number;
  /** Folder in which features are kept for the next time; null: none. */
  cache: string | null;
  /** Bytes that the whole folder may take; what is beyond is computed each time. Default: no limit. */
  cacheBytes?: number;
  /** Images that are decoded at the same time; default: twice the cores. */
  workers?: number;
  /** Images of more pixels than this cannot be read. */
  pixelLimit: number;
  /** Part of the images that may be unreadable; default: 0. */
  maxUnreadable?: number;
  /** Rows that are there, of all. */
  onProgress?: (done: number, total: number) => void;
  /** Ends the extraction after the batch that is being computed, with its reason. */
  signal?: AbortSignal;
}

/** Most layers of a feature table. */
const LAYERS = 4;

/** How many of the last layers a network's features have, L. */
export function featureLayers(network: FeatureNetwork): number {
  return Math.min(LAYERS, network.size.depth);
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
  const views = options.views === 'test' ? 1 : options.views;
  const layers = featureLayers(network);
  const table = new PartialTable(images.length * views, layers * network.size.dim);
  const cache = options.cache === null ? null : await openFeatureCache(options.cache, network, images, options);
  for await (const piece of cache?.pieces(table.rows, table.columns) ?? []) table.add(piece.rows, piece.features);
  options.onProgress?.(table.done, table.rows);

  const unreadable = new UnreadableShare(images.length, options.maxUnreadable ?? 0);
  if (table.done < table.rows) await computeMissing(engine, network, images, options, table, unreadable, cache);

  const rows = table.presentRows();
  return {
    rows: rows.length,
    width: network.size.dim,
    layers,
    data: table.only(rows),
    labels: Int32Array.from(rows, (row) => images.classOf(Math.floor(row / views))),
    names: Array.from(rows, (row) => images.item(Math.floor(row / views)).name),
    unreadable: unreadable.images,
  };
}

/** The last layer's features, [M, D], or those of all layers, [M, L D]. */
export function featureColumns({ rows, width, layers, data }: FeatureTable, kind: FeatureKind): Float32Array {
  if (kind === 'last-4' || layers === 1) return data;
  const columns = layers * width;
  const last = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    last.set(data.subarray((row + 1) * columns - width, (row + 1) * columns), row * width);
  }
  return last;
}

/** Computes a batch of features, [B, L D], of normalised images, [B, S, S, 3]. */
export type ComputeFeatures = (images: Float32Array) => Promise<Float32Array>;

/** Prepares a network for an engine; `dispose` when done. */
export function prepareFeatures(
  engine: Engine,
  network: FeatureNetwork,
): { compute: ComputeFeatures; dispose: () => void } {
  const { encoder, imageSize } = network;
  const layers = featureLayers(network);
  const backbone = networkBackbone(network);
  const forward = engine.compile((images: Tensor) => tf.tidy(() => backbone.features(encoder, images, layers)));
  const compute: ComputeFeatures = async (images) => {
    const input = tf.tensor4d(images, [images.length / (imageSize * imageSize * 3), imageSize, imageSize, 3]);
    const features = await forward(input);
    input.dispose();
    const values = (await features.data()) as Float32Array;
    features.dispose();
    return values;
  };
  return { compute, dispose: () => backbone.dispose() };
}

/** A row's picture, or null where it cannot be read. */
interface View {
  row: number;
  /** [S, S, 3] */
  rgb: Uint8Array | null;
}

/** Decodes and computes the rows that a table lacks, and stores them in the cache. */
async function computeMissing(
  engine: Engine,
  network: FeatureNetwork,
  images: LabelledImages,
  options: ExtractOptions,
  table: PartialTable,
  unreadable: UnreadableShare,
  cache: FeatureCache | null,
): Promise<void> {
  const { batchSize, signal, onProgress } = options;
  const read = viewReader(network, images, options, unreadable);
  const { compute, dispose } = prepareFeatures(engine, network);
  const limits = { atOnce: options.workers ?? 2 * availableCores(), ahead: 2 * batchSize };
  try {
    signal?.throwIfAborted();
    for await (const batch of batches(inOrder(table.missingRows(), read, limits), batchSize)) {
      const readable = batch.filter((view): view is View & { rgb: Uint8Array } => view.rgb !== null);
      if (readable.length > 0) {
        const rows = Int32Array.from(readable, ({ row }) => row);
        const features = await compute(toNormalised(readable.map(({ rgb }) => rgb)));
        table.add(rows, features);
        await cache?.store({ rows, features });
      }
      onProgress?.(table.done, table.rows);
      signal?.throwIfAborted();
    }
  } finally {
    dispose();
  }
}

/** What reads the view of a row: the test view, or one that the seed, the image and the view's number decide. */
function viewReader(
  network: FeatureNetwork,
  images: LabelledImages,
  { views, seed, transform, interpolation = 'bicubic', pixelLimit }: ExtractOptions,
  unreadable: UnreadableShare,
): (row: number) => Promise<View> {
  const settings = { imageSize: network.imageSize, transform, interpolation, pixelLimit };
  return async (row) => {
    const index = views === 'test' ? row : Math.floor(row / views);
    const item = images.item(index);
    try {
      if (views === 'test') return { row, rgb: await testView(item, settings) };
      return { row, rgb: await trainView(item, settings, new RandomStream(seed, 'view', index, row % views)) };
    } catch (error) {
      unreadable.add(index, { name: item.name, reason: unreadableReason(error) });
      return { row, rgb: null };
    }
  };
}

async function* batches<Item>(items: AsyncIterable<Item>, size: number): AsyncGenerator<Item[]> {
  let batch: Item[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
