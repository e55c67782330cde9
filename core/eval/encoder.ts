import { shownName } from '../base/file-names.js';
import type { DataSet, FeatureKind, ImageCollection, LabelledImages } from '../contract/data-sets.js';
import type { Engine, EngineChoice } from '../engine/contract.js';
import { startEngine } from '../engine/start.js';
import { tf } from '../engine/tf.js';
import { type ExtractOptions, extractFeatures, type FeatureTable } from './features.js';
import { openSplit, withoutLabels } from './labelled-data.js';
import { atImageSize, type FeatureNetwork, loadNetwork } from './network.js';
import { featureColumns } from './samples.js';

/** A frozen encoder and the engine that computes it. */
export interface Encoder extends FeatureNetwork {
  readonly engine: Engine;
  /** The engine's name in TensorFlow.js. */
  readonly backend: string;
}

export interface EncoderOptions {
  /** Which of a checkpoint's encoders; default: the one by which its method is judged. */
  encoder?: string;
  /** What computes; default: the fastest engine that is there. */
  engine?: EngineChoice;
  /** Threads that compute; default: the cores that may be used. */
  threads?: number;
  /** Side S of the images that it is given, a multiple of its patches; default: as in pretraining. */
  imageSize?: number;
}

/**
 * Loads an encoder, for `extractFeatures`; `dispose` of it when done.
 * @param checkpoint a .safetensors file of `ijepa pretrain`, or the folder of a run, whose newest one is taken
 * @throws UserError if there is no such checkpoint or engine, or patches do not divide the image size
 */
export async function loadEncoder(checkpoint: string, options: EncoderOptions = {}): Promise<Encoder> {
  const { encoder = null, threads, imageSize } = options;
  const engine = await startEngine(options.engine ?? 'auto', { ...(threads !== undefined && { threads }) });
  const network = await loadNetwork(checkpoint, encoder);
  const sized = imageSize === undefined ? network : atImageSize(network, imageSize);
  return { ...sized, engine, backend: tf.getBackend() };
}

/**
 * What features are computed of: image files by their paths or bytes (in any format that sharp reads); images that were
 * opened; or a word for everything else: a folder, a list of files, shards, a data set (`shapes:200`, `cifar100:DIR`).
 */
export type Images = string | readonly (string | Uint8Array)[] | ImageCollection;

export interface FeatureOptions
  extends Pick<ExtractOptions, 'interpolation' | 'maxUnreadable' | 'onProgress' | 'signal'> {
  /** Of the last layer, D numbers; or of the last four side by side, 4 D. Default: 'last'. */
  layers?: FeatureKind;
  /** Part of a labelled data set; default: 'train'. */
  split?: 'train' | 'test';
  /** How an image becomes a square: its middle, or all of it. Default: as the data set has it, or 'crop'. */
  transform?: ExtractOptions['transform'];
  /** Images computed at once; default: 16. */
  batchSize?: number;
  /** Data sets that a word may name; default: those of the program. */
  dataSets?: readonly DataSet[];
}

/** Features of M images. */
export interface Features extends Pick<FeatureTable, 'names' | 'unreadable'> {
  /** Average-pooled patch tokens, or the class token, of each image, M rows; parts of one array. */
  readonly rows: readonly Float32Array[];
  /** Class of each row, M, as a place in `classes`; both null where there are no labels. */
  readonly labels: Int32Array | null;
  readonly classes: readonly string[] | null;
}

/** Images of more pixels than this count as unreadable. */
const PIXEL_LIMIT = 1e8;

/**
 * Computes the features of images, in their order. Encoders on different engines take turns, not at the same time.
 * @throws UserError if there are no such images, or more than allowed cannot be read
 */
export async function featuresOf(encoder: Encoder, images: Images, options: FeatureOptions = {}): Promise<Features> {
  const { layers = 'last', split, dataSets = [], batchSize = 16, ...given } = options;
  if (tf.getBackend() !== encoder.backend) await tf.setBackend(encoder.backend); // one is active in a process
  const opened =
    typeof images === 'string'
      ? await openSplit(images, split ?? null, dataSets)
      : { images: unlabelled(images), classes: null, transform: 'crop' as const };
  const table = await extractFeatures(encoder.engine, encoder, opened.images, {
    transform: opened.transform,
    ...given,
    batchSize,
    views: 'test',
    seed: 0,
    cache: null,
    pixelLimit: PIXEL_LIMIT,
  });
  const { names, unreadable } = table;
  const data = featureColumns(table, layers);
  const width = data.length / Math.max(1, table.rows);
  const rows = Array.from({ length: table.rows }, (_, row) => data.subarray(row * width, (row + 1) * width));
  return { rows, names, labels: opened.classes && table.labels, classes: opened.classes, unreadable };
}

/** Images that were opened, or image files that were named or whose bytes were given. */
function unlabelled(images: Exclude<Images, string>): LabelledImages {
  if ('item' in images) return withoutLabels(images);
  return withoutLabels({
    description: `${images.length} images`,
    length: images.length,
    fingerprint: '', // nothing is kept of them
    item(index) {
      const image = images[index];
      if (typeof image === 'string') return { name: shownName(image), source: image };
      return { name: `image ${index}`, source: async () => image };
    },
  });
}
