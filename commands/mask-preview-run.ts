import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { ResolvedOptions } from '../core/config/resolve.js';
import type { Options } from '../core/config/schema.js';
import { cropSettings, maskSettings, modelSize } from '../core/config/settings.js';
import { centreCrop } from '../core/data/image.js';
import { epochOrders, readBatch, stepsPerEpoch } from '../core/data/loader.js';
import { openData } from '../core/data/open.js';
import { reasonOf, UserError } from '../core/errors.js';
import type { ImageCollection } from '../core/plugin.js';
import { RandomStream } from '../core/random.js';
import { createConsole } from '../core/report/console.js';
import { type PreviewPicture, writeMaskPreview } from '../core/report/mask-preview.js';
import { BUILT_IN_PLUGINS } from '../plugins/index.js';

/** Most rows of one picture. */
const MOST_ROWS = 64;

/** Draws the masks of a step on pictures and writes them as PNG. */
export async function runMaskPreview(
  { options }: ResolvedOptions,
  images: readonly string[],
  asked: { out: string; samples: unknown; step: unknown; force: boolean },
): Promise<void> {
  const console = createConsole(false);
  const samples = wholeNumber('--samples', asked.samples, MOST_ROWS);
  const step = wholeNumber('--step', asked.step, Number.MAX_SAFE_INTEGER);
  const { out } = asked;
  if (existsSync(out) && !asked.force) {
    throw new UserError(`${out} exists`, {
      expected: 'a new file',
      remedy: 'use --force to replace it, or another --out',
    });
  }
  modelSize(options);
  const masks = maskSettings(options);
  const dataSets = BUILT_IN_PLUGINS.flatMap((plugin) => plugin.dataSets);
  const ownData = images.length === 0 && options.data.length > 0;
  const collection = await openData(images.length > 0 ? images : ownData ? options.data : ['shapes'], dataSets);
  const pictures = ownData
    ? await trainingPictures(collection, options, samples, step)
    : await middlePictures(collection, options, await rowOrder(images, collection, samples, options.seed));
  await writeMaskPreview(out, options, pictures, step);
  console.line(`${out}: masks of step ${step} on ${pictures.length} pictures from ${collection.description}`);
  console.line(
    `grid ${masks.gridSize} x ${masks.gridSize}, ${masks.targets} targets, every block keeps at least ${masks.minKeep} patches`,
  );
}

/** The first crops of the step's batch, as training sees them. */
async function trainingPictures(
  collection: ImageCollection,
  options: Options,
  samples: number,
  step: number,
): Promise<PreviewPicture[]> {
  const epochSteps = stepsPerEpoch(collection.length, options.batchSize);
  if (epochSteps === 0) {
    throw new UserError(
      `a batch of ${options.batchSize} images is more than the ${collection.length} in ${collection.description}`,
      {
        expected: 'the data that the configuration was used with',
      },
    );
  }
  const settings = { ...cropSettings(options), seed: options.seed, batchSize: options.batchSize };
  const orderOf = epochOrders(options.seed, collection.length);
  const unreadable = { add() {} }; // training lists them
  const rows = Math.min(samples, options.batchSize);
  const crops = await readBatch(collection, settings, unreadable, orderOf, step - 1, rows);
  const order = orderOf(Math.floor((step - 1) / epochSteps));
  const first = ((step - 1) % epochSteps) * options.batchSize;
  return crops.map((rgb, at) => ({ name: collection.item(order[first + at] as number).name, rgb }));
}

async function middlePictures(
  collection: ImageCollection,
  options: Options,
  order: readonly number[],
): Promise<PreviewPicture[]> {
  const { pixelLimit } = cropSettings(options);
  return Promise.all(
    order.map(async (index) => {
      const item = collection.item(index);
      const rgb = await centreCrop(item, options.imageSize, pixelLimit).catch((error: unknown) => {
        throw new UserError(`${item.name} cannot be read: ${reasonOf(error)}`, { expected: 'a whole image file' });
      });
      return { name: item.name, rgb };
    }),
  );
}

/** Which image each row shows: files in turn, at least once each; of folders and data sets a random choice. */
async function rowOrder(
  images: readonly string[],
  { length }: ImageCollection,
  samples: number,
  seed: number,
): Promise<number[]> {
  const areFiles = images.length === length && (await Promise.all(images.map(isFile))).every(Boolean);
  if (areFiles) return Array.from({ length: Math.min(MOST_ROWS, Math.max(samples, length)) }, (_, row) => row % length);
  return [...new RandomStream(seed, 'preview').permutation(length).subarray(0, samples)];
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}

function wholeNumber(flag: string, value: unknown, most: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new UserError(`${flag} cannot be ${value}`, {
    expected: `a whole number from 1${most < 1e6 ? ` to ${most}` : ''}`,
  });
}
