import { z } from 'zod';
import type { Console } from '../base/console.js';
import { UserError } from '../base/errors.js';
import { RandomStream } from '../base/random.js';
import type { Options } from '../config/schema.js';
import { microBatchSizeOf } from '../config/settings.js';
import type { ImageCollection, ImageItem } from '../contract/data-sets.js';
import { centreCrop, cropSettings } from '../data/crop.js';
import { unreadableReason } from '../data/skipped.js';
import { rankMe } from '../eval/geometry.js';
import { pooledFeatures } from '../eval/pooled-features.js';
import type { Method } from '../methods/method.js';
import type { ImageEncoder } from '../nn/backbone.js';
import type { Parameters } from '../nn/parameters.js';
import type { Extension } from '../plugins/plugin.js';
import { Monitors, verdictsSchema } from './monitors.js';

/** How much the representations of different images differ. */
const spreadSchema = z.object({
  /** Mean over features of the standard deviation over images. */
  std: z.number(),
  /** RankMe: the effective number of directions, from 1 to the number of images. */
  rank: z.number(),
});
export type Spread = z.infer<typeof spreadSchema>;

const memorySchema = z.object({
  /** Before the first step. */
  first: spreadSchema,
  /** What monitors remember, and the last verdicts of those that give some, by their names. */
  monitors: z.record(z.string(), z.unknown()),
  verdicts: verdictsSchema,
});

/** What a run remembers from one observation to the next; checkpoints hold it. */
export type WatchMemory = z.infer<typeof memorySchema>;

/** What a checkpoint holds; null where it is none. */
export function parseWatchMemory(memory: unknown): WatchMemory | null {
  return memorySchema.nullable().catch(null).parse(memory);
}

interface Watched {
  options: Options;
  method: Pick<Method, 'fixedTargets'>;
  backbone: ImageEncoder;
  images: ImageCollection;
  monitors: readonly Extension<'monitor'>[];
  console: Console;
}

/**
 * What observes now and then what an encoder makes of a run's fixed images, and lets monitors observe it. Reads the images;
 * in a new run, observes the features before the first step.
 * @param memory what a checkpoint remembered, or null in a new run
 */
export async function startWatch(run: Watched, totalSteps: number, encoder: Parameters, memory: WatchMemory | null) {
  const { options, method, backbone, images, monitors, console } = run;
  const watched = await loadWatchImages(images, options);
  const { seed } = options;
  const { fixedTargets = false } = method;
  const facts = { seed, totalSteps, images: watched.images, width: backbone.encoder.dim, fixedTargets };
  const observers = new Monitors(monitors, facts, memory ?? { monitors: {}, verdicts: {} }, console.warn);
  let latest: Spread | null = null;
  const observe = async (encoder: Parameters, step: number, loss: number | null) => {
    const features = await pooledFeatures(backbone, encoder, watched.views, 1, microBatchSizeOf(options));
    const rows = watched.images.length;
    const spread = { std: meanStd(features, rows), rank: rankMe(features, rows) };
    latest = spread;
    return { spread, monitors: await observers.observe({ step, loss, features, ...spread }) };
  };
  const first = memory?.first ?? (await observe(encoder, 0, null)).spread;
  const { memories, verdicts } = observers;
  return {
    /** What is remembered from one observation to the next. */
    memory: { first, monitors: memories, verdicts },
    /** The last spread of this session; null before its first observation. */
    get latest(): Spread | null {
      return latest;
    },
    /** Observes after a step, whose loss was the given one; null before the first step. */
    observe,
  };
}

/** Mean over features of their standard deviation over rows; features row by row, [n, D]. */
export function meanStd(features: Float32Array, rows: number): number {
  const width = features.length / rows;
  let sum = 0;
  for (let column = 0; column < width; column++) {
    let mean = 0;
    let squares = 0;
    for (let row = 0; row < rows; row++) mean += features[row * width + column] / rows;
    for (let row = 0; row < rows; row++) squares += (features[row * width + column] - mean) ** 2;
    sum += Math.sqrt(squares / rows);
  }
  return sum / width;
}

/**
 * The fixed images that a run observes: chosen by the seed, the middle square of each.
 * @returns the images, and their pixels, n times [S, S, 3]
 */
async function loadWatchImages(images: ImageCollection, options: Options) {
  const { pixelLimit } = cropSettings(options);
  const order = new RandomStream(options.seed, 'watch').permutation(images.length);
  const wanted = Math.min(options.watchImages, images.length);
  const read: { item: ImageItem; crop: Uint8Array }[] = [];
  for (let from = 0; read.length < wanted && from < order.length; from += wanted) {
    const items = [...order.subarray(from, from + wanted)].map((index) => images.item(index));
    const crops = items.map((item) =>
      centreCrop(item, options.imageSize, pixelLimit).catch((error: unknown) => void unreadableReason(error)),
    );
    for (const [at, crop] of (await Promise.all(crops)).entries()) {
      if (crop && read.length < wanted) read.push({ item: items[at], crop });
    }
  }
  if (read.length < 2) {
    throw new UserError(`hardly any of the ${images.length} images in ${images.description} can be read`, {
      expected: 'images that can be read (JPEG, PNG, WebP, AVIF, GIF, TIFF)',
    });
  }
  return { images: read.map(({ item }) => item), views: read.map(({ crop }) => crop) };
}
