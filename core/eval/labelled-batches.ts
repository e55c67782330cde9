import { inOrder } from '../base/pool.js';
import { RandomStream } from '../base/random.js';
import type { LabelledImages } from '../contract/data-sets.js';
import { type RandAugmentSettings, randAugment } from '../data/augment/rand-augment.js';
import { stepsPerEpoch } from '../data/loader.js';
import { toNormalised } from '../data/normalise.js';
import { epochOrders } from '../data/order.js';
import { unreadableReason } from '../data/skipped.js';
import { testView, trainView, type ViewSettings } from './transform.js';
import type { UnreadableShare } from './unreadable.js';

/** Images and their classes. */
export interface LabelledBatch {
  /** Normalised, [B, S, S, 3]. */
  images: Float32Array;
  /** [B] */
  labels: Int32Array;
}

interface BatchSettings extends ViewSettings {
  batchSize: number;
  /** Images that are decoded at the same time. */
  workers: number;
}

interface TrainingSettings extends BatchSettings {
  seed: number;
  epochs: number;
  /** What is done to a view beside crop and flip; null for nothing. */
  augment: RandAugmentSettings | null;
}

/**
 * The batches of all epochs: every epoch in a random order of its own, each image as a random view; the images after the
 * last whole batch are left to other epochs. The order and each view depend on the seed, the epoch and the position alone.
 *
 * Batches lack the images that cannot be read. The next batch is decoded while the caller computes.
 */
export function trainingBatches(
  images: LabelledImages,
  settings: TrainingSettings,
  unreadable: UnreadableShare,
): AsyncGenerator<LabelledBatch> {
  const { batchSize, imageSize, seed, epochs, augment } = settings;
  const epochImages = stepsPerEpoch(images.length, batchSize) * batchSize;
  const orderOf = epochOrders(seed, images.length);
  const imageAt = (turn: number) => orderOf(Math.floor(turn / epochImages))(turn % epochImages);
  return batchesOf(images, epochs * epochImages, imageAt, settings, unreadable, async (index, turn) => {
    const stream = (name: string) =>
      new RandomStream(seed, `fine-tune/${name}`, Math.floor(turn / epochImages), turn % epochImages);
    const rgb = await trainView(images.item(index), settings, stream('view'));
    if (!augment) return rgb;
    return randAugment({ rgb, width: imageSize, height: imageSize }, augment, stream('change')).rgb;
  });
}

/** All images once, in their order, as test views; the last batch may be smaller, and so is one with unreadable images. */
export function testBatches(
  images: LabelledImages,
  settings: BatchSettings,
  unreadable: UnreadableShare,
): AsyncGenerator<LabelledBatch> {
  const viewOf = (index: number) => testView(images.item(index), settings);
  return batchesOf(images, images.length, (turn) => turn, settings, unreadable, viewOf);
}

/**
 * @param count images of all batches together, whose turns are counted from 0
 * @param imageAt which image has a turn
 */
async function* batchesOf(
  images: LabelledImages,
  count: number,
  imageAt: (turn: number) => number,
  { batchSize, workers }: BatchSettings,
  unreadable: UnreadableShare,
  viewOf: (index: number, turn: number) => Promise<Uint8Array>,
): AsyncGenerator<LabelledBatch> {
  const read = async (turn: number): Promise<{ label: number; rgb: Uint8Array }[]> => {
    const index = imageAt(turn);
    try {
      return [{ label: images.classOf(index), rgb: await viewOf(index, turn) }];
    } catch (error) {
      unreadable.add(index, { name: images.item(index).name, reason: unreadableReason(error) });
      return [];
    }
  };
  let views: Awaited<ReturnType<typeof read>> = [];
  let turn = 0;
  for await (const view of inOrder(Array(count).keys(), read, { concurrency: workers, ahead: 2 * batchSize })) {
    views.push(...view);
    if (++turn % batchSize !== 0 && turn < count) continue;
    const labels = Int32Array.from(views, ({ label }) => label);
    yield { images: toNormalised(views.map(({ rgb }) => rgb)), labels };
    views = [];
  }
}
