import { UserError } from '../base/errors.js';
import { inOrder } from '../base/pool.js';
import { RandomStream } from '../base/random.js';
import type { ImageCollection } from '../contract/data-sets.js';
import { linkAbort } from '../fetch/request.js';
import { type CropSettings, type View, type ViewSpec, viewBytes } from './crop.js';
import { type Decoders, DecodersEnded, decodeHere, startDecoders, usualThreads } from './decoders.js';
import { toNormalised } from './normalise.js';
import { chunkSize, epochOrders } from './order.js';
import { type UnreadableImages, unreadableReason } from './skipped.js';

export interface BatchSettings extends CropSettings {
  seed: number;
  batchSize: number;
  /** Images among which those of the same part of the data set are shuffled; null for all. */
  shuffleBuffer: number | null;
  /** The crops of each image; one view called 'image' where they are left out. */
  views?: readonly ViewSpec[];
}

/** Normalised images of each view by its name, [B count, S, S, 3]: the crops of an image side by side. */
export type ViewBatch = Record<string, Float32Array>;

export interface LoaderSettings extends BatchSettings {
  /** The images of each batch that are read, from one up to another; all where it is left out. */
  share?: readonly [from: number, to: number];
  /** Bytes of decoded images that may wait for their step. */
  aheadBytes: number;
  /** Threads that decode; as many as cores, up to eight, where none are named. */
  decodeThreads?: number | null;
  /** Ends waiting for images that have to be fetched: the next batch is then an AbortError. */
  signal?: AbortSignal;
}

const MAX_AHEAD = 4;
/** Replacements tried for an unreadable image before it counts as an error of the whole data set. */
const REPLACEMENTS = 100;
/** Of them, those that are shown. */
const SHOWN = 3;

/** Fewer images than this are decoded without threads of their own, which take a tenth of a second to start. */
const FEW_IMAGES = 256;

/** Steps of one epoch: whole batches only, the rest of the images is left to other epochs. */
export function stepsPerEpoch(images: number, batchSize: number): number {
  return Math.floor(images / batchSize);
}

/**
 * Refuses data of which not even one batch can be made.
 * @throws UserError with a batch size that works
 */
export function requireOneBatch({ length, description }: ImageCollection, batchSize: number): void {
  if (length >= batchSize) return;
  throw new UserError(`a batch of ${batchSize} images is more than the ${length} in ${description}`, {
    expected: 'at least one whole batch of images',
    remedy: length >= 2 ? `use --batch-size ${Math.min(length, 16)}, or add images` : 'add images',
  });
}

/**
 * The batches of a run from step `firstStep` (counted from 0) to `lastStep` (not included), for ever in the same order.
 * What one holds depends on the seed and its step alone. Images are decoded in other threads while the caller computes the
 * batch before; at most `aheadBytes` of them wait, or one batch if that is larger.
 * @returns one batch at a time, whole until the next but one is asked for, which takes its memory: new memory for each costs
 * a tenth of the whole time
 */
export async function* loadBatches(
  images: ImageCollection,
  settings: LoaderSettings,
  unreadable: UnreadableImages,
  firstStep: number,
  lastStep: number,
): AsyncGenerator<ViewBatch> {
  const { batchSize, shuffleBuffer, aheadBytes, signal, share = [0, batchSize] } = settings;
  const decoding = { seed: settings.seed, views: viewsOf(settings) };
  const [from, to] = share;
  const batchBytes = (to - from) * viewBytes(decoding.views);
  const ahead = Math.max(1, Math.min(MAX_AHEAD, Math.floor(aheadBytes / batchBytes)));
  const done = new AbortController();
  const unlink = signal && linkAbort(signal, done);
  const plan = {
    neighbours: shuffleBuffer === null ? 1 : chunkSize(shuffleBuffer),
    together: Math.min(shuffleBuffer ?? images.length, images.length),
    bytes: aheadBytes,
    signal: done.signal,
  };
  const decoders =
    (lastStep - firstStep) * (to - from) < FEW_IMAGES
      ? decodeHere(decoding)
      : startDecoders(decoding, settings.decodeThreads ?? usualThreads());
  const readStep = stepReader(images.forReading?.(plan) ?? images, settings, decoders);
  const steps = Array(lastStep - firstStep).keys();
  const limits = { concurrency: ahead + 1, ahead: ahead + 1 }; // the batch that is waited for, and those after it
  const memory: ViewBatch[] = [{}, {}];
  try {
    for await (const crops of inOrder(steps, (at) => readStep(firstStep + at, from, to), limits)) {
      reportFailures(crops, unreadable);
      const [older] = memory.reverse();
      const batch = normaliseViews(crops, decoding.views, older);
      for (const { rgb } of crops) decoders.reuse(rgb);
      yield batch; // the batches after it are read meanwhile
    }
  } finally {
    unlink?.();
    done.abort();
    await decoders.close();
  }
}

function viewsOf({ views = [{ name: 'image', count: 1 }], ...settings }: BatchSettings): View[] {
  const { imageSize, cropScale, cropAspect, flip, jitter, blur, pixelLimit } = settings;
  const usual = { imageSize, cropScale, cropAspect, flip, jitter, blur, pixelLimit };
  return views.map(({ name, count, crop }) => ({ name, count, crop: { ...usual, ...crop } }));
}

/** @param batch takes them, in memory of its own where that has the right size */
function normaliseViews(crops: readonly TrainingCrop[], views: readonly View[], batch: ViewBatch): ViewBatch {
  let start = 0;
  for (const { name, count, crop } of views) {
    const bytes = crop.imageSize ** 2 * 3;
    const offsets = Array.from({ length: count }, (_, number) => start + number * bytes);
    const images = crops.flatMap(({ rgb }) => offsets.map((offset) => rgb.subarray(offset, offset + bytes)));
    batch[name] = toNormalised(images, batch[name]);
    start += count * bytes;
  }
  return batch;
}

export interface TrainingCrop {
  name: string;
  /** Of all views, one after the other: [S, S, 3] where there is one crop. */
  rgb: Uint8Array;
  /** The images that could not be read and in whose place it came, in their order. */
  failures: readonly { name: string; reason: string }[];
}

/** The first `count` crops of a step, counted from 1: the very ones that training learns from. */
export async function cropsOfStep(
  images: ImageCollection,
  settings: BatchSettings,
  unreadable: UnreadableImages,
  step: number,
  count: number,
): Promise<TrainingCrop[]> {
  const decoders = decodeHere({ seed: settings.seed, views: viewsOf(settings) });
  const crops = await stepReader(images, settings, decoders)(step - 1, 0, Math.min(count, settings.batchSize));
  reportFailures(crops, unreadable);
  return crops;
}

function reportFailures(crops: readonly TrainingCrop[], unreadable: UnreadableImages): void {
  for (const { name, reason } of crops.flatMap(({ failures }) => failures)) unreadable.add(name, reason);
}

/** What reads the crops `from` up to `to` of a step, counted from 0, in the order of their positions. */
function stepReader(images: ImageCollection, settings: BatchSettings, decoders: Decoders) {
  const { seed, batchSize, shuffleBuffer } = settings;
  const steps = stepsPerEpoch(images.length, batchSize);
  const orderOf = epochOrders(seed, images.length, shuffleBuffer);
  /** The crops at a position; where its image cannot be read, of another image drawn for this position. */
  const readPosition = async (epoch: number, position: number): Promise<TrainingCrop> => {
    let others: RandomStream | undefined;
    const failures: { name: string; reason: string }[] = [];
    let chosen = orderOf(epoch)(position);
    for (let attempt = 0; attempt < REPLACEMENTS; attempt++) {
      const item = images.item(chosen);
      try {
        return { name: item.name, rgb: await decoders.crop(item, [epoch, position, attempt]), failures };
      } catch (error) {
        if (error instanceof DecodersEnded) throw error;
        failures.push({ name: item.name, reason: unreadableReason(error) });
      }
      others ??= new RandomStream(seed, 'replacement', epoch, position);
      chosen = others.integer(0, images.length - 1);
    }
    const examples = new Map(failures.map(({ name, reason }) => [name, `${name}: ${reason}`]));
    const shown = [...examples.values()].slice(0, SHOWN).join('\n    ');
    throw new UserError(`${REPLACEMENTS} images in a row of ${images.description} cannot be read\n    ${shown}`, {
      expected: 'images that can be read (JPEG, PNG, WebP, AVIF, GIF, TIFF)',
      remedy: 'repair or remove them, or name other data',
    });
  };
  return async (step: number, from: number, to: number): Promise<TrainingCrop[]> => {
    const epoch = Math.floor(step / steps);
    const first = (step % steps) * batchSize + from;
    return Promise.all(Array.from({ length: to - from }, (_, at) => readPosition(epoch, first + at)));
  };
}
