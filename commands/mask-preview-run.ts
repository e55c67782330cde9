import { statSync } from 'node:fs';
import { createConsole } from '../core/base/console.js';
import { attempt, UserError } from '../core/base/errors.js';
import { systemPath } from '../core/base/file-names.js';
import { checkOutputFile } from '../core/base/folders.js';
import { RandomStream } from '../core/base/random.js';
import type { Options } from '../core/config/schema.js';
import { batchSizeFor } from '../core/config/settings.js';
import { centreCrop, cropSettings } from '../core/data/crop.js';
import { cropsOfStep, requireOneBatch } from '../core/data/loader.js';
import { openData } from '../core/data/open.js';
import { unreadableReason } from '../core/data/skipped.js';
import { startEngine } from '../core/engine/start.js';
import { checkMethodOptions, createMethod } from '../core/methods/create.js';
import type { ImageCollection } from '../core/plugin.js';
import { selectPlugins } from '../core/plugins/plugin.js';
import { type PreviewPicture, writeMaskPreview } from '../core/report/mask-preview.js';
import { MASK_PREVIEW_OPTIONS, type MaskPreviewOptions } from './options/others.js';
import { refuseOwnInput } from './own-input.js';
import { pluginsWith } from './plugins.js';
import type { ResolvedRun } from './run-sources.js';

/** Most rows of one picture. */
const MAX_ROWS = MASK_PREVIEW_OPTIONS.samples.max ?? 1;

/** Draws the masks of a step on pictures and writes them as PNG. */
export async function runMaskPreview(
  { method: definition, options }: ResolvedRun,
  { images, out, samples, step, force }: MaskPreviewOptions,
): Promise<void> {
  const console = createConsole(false);
  checkOutputFile(out, '--out', force);
  checkMethodOptions(definition, options);
  const ownData = images.length === 0 && options.data.length > 0;
  const plugins = await pluginsWith(options.plugins);
  const dataSets = plugins.flatMap((plugin) => plugin.dataSets ?? []);
  const collection = await openData(images.length > 0 ? images : ownData ? options.data : ['shapes'], dataSets);
  for (const note of collection.notes ?? []) console.warn(`note: ${note}`);
  refuseOwnInput(out, collection);
  const batchSize = batchSizeFor(options, collection.length);
  if (ownData) requireOneBatch(collection, batchSize);
  const isFile = (path: string) => attempt(() => statSync(systemPath(path)).isFile(), false);
  const settings = { ...options, ...cropSettings(options), batchSize };
  const unreadable = { add() {} }; // training lists them
  const pictures = ownData
    ? await cropsOfStep(collection, settings, unreadable, step, samples)
    : await middlePictures(collection, options, samples, images.length === collection.length && images.every(isFile));
  await startEngine('cpu');
  const { extensions } = selectPlugins(definition, options, plugins);
  const { method } = createMethod(definition, options, extensions);
  if (Object.keys(method.masks).length === 0) {
    throw new UserError(`${definition.title} draws no masks`, { remedy: 'choose another --method' });
  }
  await writeMaskPreview(out, method, settings, pictures, step);
  console.line(`${out}: masks of step ${step} on ${pictures.length} pictures from ${collection.description}`);
  for (const line of definition.describeMasks?.(options) ?? []) console.line(line);
}

/**
 * The middle of some images: of files, each in turn, at least once; of folders and data sets a random choice.
 * @throws UserError if a file that was named cannot be read, or none can
 */
async function middlePictures(
  collection: ImageCollection,
  options: Options,
  samples: number,
  fileByFile: boolean,
): Promise<PreviewPicture[]> {
  const { pixelLimit } = cropSettings(options);
  const rows = fileByFile ? Math.min(MAX_ROWS, Math.max(samples, collection.length)) : samples;
  const order = new RandomStream(options.seed, 'preview').permutation(collection.length);
  const tries = fileByFile ? rows : collection.length;
  const pictures: PreviewPicture[] = [];
  for (let at = 0; at < tries && pictures.length < rows; at++) {
    const item = collection.item(fileByFile ? at % collection.length : order[at]);
    try {
      pictures.push({ name: item.name, rgb: await centreCrop(item, options.imageSize, pixelLimit) });
    } catch (error) {
      const reason = unreadableReason(error);
      if (fileByFile) throw unreadableError(`${item.name} cannot be read: ${reason}`);
    }
  }
  if (pictures.length === 0) throw unreadableError(`none of the images in ${collection.description} can be read`);
  return pictures;
}

function unreadableError(problem: string): UserError {
  return new UserError(problem, { expected: 'a whole image file', remedy: 'name another image' });
}
