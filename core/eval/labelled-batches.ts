import { epochOrders, stepsPerEpoch } from '../data/loader.js';
import { toNormalised } from '../data/normalise.js';
import { reasonOf, UserError } from '../errors.js';
import type { LabelledImages } from '../plugin.js';
import { RandomStream } from '../random.js';
import type { LabelledBatch } from './fine-tune-step.js';
import { testView, trainView, type ViewSettings } from './transform.js';

export interface BatchSettings extends ViewSettings {
  batchSize: number;
  /** Images that are decoded at the same time. */
  workers: number;
}

/**
 * The batches of all epochs: every epoch in a random order of its own, each image as a random view; the images after the
 * last whole batch are left to other epochs. The order and each view depend on the seed, the epoch and the position alone.
 * The next batch is decoded while the caller computes.
 */
export async function* trainingBatches(
  images: LabelledImages,
  settings: BatchSettings & { seed: number; epochs: number },
): AsyncGenerator<LabelledBatch> {
  const { batchSize, seed, epochs } = settings;
  const steps = stepsPerEpoch(images.length, batchSize);
  const orderOf = epochOrders(seed, images.length);
  yield* oneAhead(epochs * steps, (step) => {
    const epoch = Math.floor(step / steps);
    const first = (step % steps) * batchSize;
    const chosen = orderOf(epoch).slice(first, first + batchSize);
    return readBatch(images, chosen, settings.workers, (index, at) =>
      trainView(images.item(index), settings, new RandomStream(seed, 'fine-tune/view', epoch, first + at)),
    );
  });
}

/** All images once, in their order, as test views; the last batch may be smaller. */
export async function* testBatches(images: LabelledImages, settings: BatchSettings): AsyncGenerator<LabelledBatch> {
  const { batchSize } = settings;
  yield* oneAhead(Math.ceil(images.length / batchSize), (batch) => {
    const first = batch * batchSize;
    const count = Math.min(batchSize, images.length - first);
    const chosen = Uint32Array.from({ length: count }, (_, at) => first + at);
    return readBatch(images, chosen, settings.workers, (index) => testView(images.item(index), settings));
  });
}

/** The batch of images with these numbers. */
async function readBatch(
  images: LabelledImages,
  chosen: Uint32Array,
  workers: number,
  viewOf: (index: number, at: number) => Promise<Uint8Array>,
): Promise<LabelledBatch> {
  const views = await inParallel(chosen.length, workers, async (at) => {
    const index = chosen[at] as number;
    try {
      return await viewOf(index, at);
    } catch (error) {
      throw unreadable(images, index, error);
    }
  });
  return { images: toNormalised(views), labels: Int32Array.from(chosen, (index) => images.classOf(index)) };
}

/** An evaluation that leaves images out is none, so one that cannot be read ends it. */
function unreadable(images: LabelledImages, index: number, error: unknown): UserError {
  return new UserError(
    `${images.item(index).name} cannot be read: ${reasonOf(error)}`,
    { expected: 'an image that can be read', remedy: 'repair it or take it out of the data set' },
    { cause: error },
  );
}

/** What `make` gives for 0 up to `count` - 1, in this order, while it makes the next one. */
async function* oneAhead<T>(count: number, make: (index: number) => Promise<T>): AsyncGenerator<T> {
  let next: Promise<T> | null = null;
  for (let index = 0; index < count; index++) {
    const current: Promise<T> = next ?? make(index);
    const value = await current;
    next = index + 1 < count ? make(index + 1) : null;
    next?.catch(() => {}); // reported when its turn comes
    yield value;
  }
}

/** What `make` gives for 0 up to `count` - 1, made by so many workers at the same time. */
async function inParallel<T>(count: number, workers: number, make: (index: number) => Promise<T>): Promise<T[]> {
  const results = new Array<T>(count);
  let next = 0;
  const work = async () => {
    while (next < count) {
      const index = next++;
      results[index] = await make(index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(workers, count) }, work));
  return results;
}
