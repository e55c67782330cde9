import type { LabelledImages } from '../contract/data-sets.js';
import type { Engine } from '../engine/contract.js';
import { bytesOf } from '../train/communicator/arrays.js';
import { ALONE, type Ranks } from '../train/communicator/ranks.js';
import { type CacheSettings, type FeaturePiece, openFeatureCache } from './features-cache.js';
import type { FeatureNetwork } from './network.js';
import { featureLayers } from './prepare-features.js';
import { computeRows, type RowOptions, viewsOfImage } from './rows.js';
import { pickSamples, type Samples } from './samples.js';
import { type UnreadableImage, UnreadableList } from './views.js';

/**
 * Features of labelled images, image by image and view by view: those of the last four layers (of all where there are fewer)
 * side by side, each through the encoder's final LayerNorm, as `Backbone.features` has them.
 */
export interface FeatureTable extends Samples {
  /** The names of the images, M. */
  readonly names: readonly string[];
  /** Images that could not be read and have no rows. */
  readonly unreadable: readonly UnreadableImage[];
}

export interface ExtractOptions extends RowOptions {
  /** Folder in which features are kept for the next time; null: none. */
  cache: string | null;
  /**
   * Takes the patch tokens of each batch, [B N D], in the order of rows; the features are then those of the last layer alone,
   * L = 1. A cache keeps no tokens.
   */
  onTokens?: (tokens: Float32Array) => Promise<void>;
  /** Rows that are there, of all. */
  onProgress?: (done: number, total: number) => void;
}

/**
 * Computes the features of images, or takes them from the cache; rank 0 calls it where there are several, and the others
 * call `helpExtraction`.
 *
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
  const { onProgress, onTokens, views, ranks = ALONE } = options;
  const perImage = viewsOfImage(views);
  const [rows, width, layers] = [images.length * perImage, network.size.dim, onTokens ? 1 : featureLayers(network)];
  const columns = layers * width;
  const table = {
    rows,
    width,
    layers,
    data: new Float32Array(rows * columns),
    labels: Int32Array.from({ length: rows }, (_, row) => images.classOf(Math.floor(row / perImage))),
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
  const wanted = await tellWanted(ranks, Int32Array.from(missing));
  const kind = onTokens ? 'tokens' : 'features';
  for await (const { rows, values } of computeRows(engine, network, images, wanted, kind, options, unreadable)) {
    await onTokens?.(values);
    const piece = { rows, features: onTokens ? meanTokens(values, rows.length, width) : values };
    add(piece);
    await cache?.store(piece);
    report();
  }
  if (missing.size === 0) return { ...table, unreadable: unreadable.images };
  const present = Uint32Array.from(table.names.keys()).filter((row) => !missing.has(row));
  const names = Array.from(present, (row) => table.names[row]);
  return { ...pickSamples(table, present), names, unreadable: unreadable.images };
}

/** What the ranks other than rank 0 do of an extraction, with the same network, images and options. */
export async function helpExtraction(
  engine: Engine,
  network: FeatureNetwork,
  images: LabelledImages,
  options: RowOptions & { ranks: Ranks },
  kind: 'features' | 'tokens' = 'features',
): Promise<void> {
  const wanted = await tellWanted(options.ranks, null);
  const unreadable = new UnreadableList(images.length, options.maxUnreadable);
  for await (const _ of computeRows(engine, network, images, wanted, kind, options, unreadable));
}

/** The rows that rank 0 wants; the others give null. */
async function tellWanted(ranks: Ranks, own: Int32Array | null): Promise<Int32Array> {
  if (ranks.size === 1 && own) return own;
  const { buffer, byteOffset, byteLength } = await ranks.broadcast(own && bytesOf(own));
  return new Int32Array(buffer, byteOffset, byteLength / 4);
}

/** The name of the image of each row, where none is left out. */
export function rowNames(images: LabelledImages, views: CacheSettings['views']): string[] {
  const perImage = viewsOfImage(views);
  return Array.from({ length: images.length * perImage }, (_, row) => images.item(Math.floor(row / perImage)).name);
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
