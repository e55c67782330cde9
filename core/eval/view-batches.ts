import { inOrder } from '../base/pool.js';
import { RandomStream } from '../base/random.js';
import type { ImageItem, LabelledImages } from '../contract/data-sets.js';
import { type RandAugmentSettings, randAugment } from '../data/augment/random.js';
import { stepsPerEpoch } from '../data/loader.js';
import { toNormalised } from '../data/normalise.js';
import { epochOrders } from '../data/order.js';
import { unreadableReason } from '../data/skipped.js';
import { testView, trainView, type ViewSettings } from './transform.js';
import type { UnreadableList } from './unreadable.js';

/** A view of an image that could be read. */
export interface View {
  /** Whose turn it was, from 0. */
  turn: number;
  /** Number of the image in its collection. */
  index: number;
  /** [S, S, 3] */
  rgb: Uint8Array;
}

/** Which views are read. */
export interface ViewPlan {
  /** Turns of all batches together. */
  turns: number;
  /** The image that has a turn; default: image number `turn`. */
  imageAt?: (turn: number) => number;
  viewOf: (item: ImageItem, turn: number) => Promise<Uint8Array>;
  /** Turns of a batch. */
  batchSize: number;
  /** Images that are decoded at the same time. */
  workers: number;
}

/**
 * Views in the order of their turns, a batch after the other; the last batch may be smaller, and so is one with unreadable
 * images. The next batch is decoded while the caller works.
 * @param unreadable takes note of images that cannot be read; null where nobody does
 */
export async function* viewBatches(
  images: LabelledImages,
  { turns, imageAt = (turn) => turn, viewOf, batchSize, workers }: ViewPlan,
  unreadable: UnreadableList | null,
): AsyncGenerator<View[]> {
  const read = async (turn: number): Promise<View[]> => {
    const index = imageAt(turn);
    const item = images.item(index);
    try {
      return [{ turn, index, rgb: await viewOf(item, turn) }];
    } catch (error) {
      const reason = unreadableReason(error);
      unreadable?.add(index, { name: item.name, reason });
      return [];
    }
  };
  let views: View[] = [];
  let turn = 0;
  for await (const view of inOrder(Array(turns).keys(), read, { concurrency: workers, ahead: 2 * batchSize })) {
    views.push(...view);
    if (++turn % batchSize !== 0 && turn < turns) continue;
    yield views;
    views = [];
  }
}

/** Images and their classes. */
export interface LabelledBatch {
  /** Normalised, [B, S, S, 3]. */
  images: Float32Array;
  /** [B] */
  labels: Int32Array;
}

interface BatchSettings extends ViewSettings, Pick<ViewPlan, 'batchSize' | 'workers'> {}

interface TrainingSettings extends BatchSettings {
  seed: number;
  epochs: number;
  /** What is done to a view beside crop and flip; null for nothing. */
  augment: RandAugmentSettings | null;
}

/**
 * The batches of all epochs: every epoch in a random order of its own, each image as a random view; the images after the
 * last whole batch are left to other epochs. The order and each view depend on the seed, the epoch and the position alone.
 */
export function trainingBatches(
  images: LabelledImages,
  settings: TrainingSettings,
  unreadable: UnreadableList,
): AsyncGenerator<LabelledBatch> {
  const { batchSize, workers, imageSize, seed, epochs, augment } = settings;
  const epochImages = stepsPerEpoch(images.length, batchSize) * batchSize;
  const orderOf = epochOrders(seed, images.length);
  const imageAt = (turn: number) => orderOf(Math.floor(turn / epochImages))(turn % epochImages);
  const viewOf = async (item: ImageItem, turn: number) => {
    const stream = (name: string) =>
      new RandomStream(seed, `fine-tune/${name}`, Math.floor(turn / epochImages), turn % epochImages);
    const rgb = await trainView(item, settings, stream('view'));
    if (!augment) return rgb;
    return randAugment({ rgb, width: imageSize, height: imageSize }, augment, stream('change')).rgb;
  };
  const plan = { turns: epochs * epochImages, imageAt, viewOf, batchSize, workers };
  return labelled(images, viewBatches(images, plan, unreadable));
}

/** All images once, in their order, as test views. */
export function testBatches(
  images: LabelledImages,
  settings: BatchSettings,
  unreadable: UnreadableList,
): AsyncGenerator<LabelledBatch> {
  const viewOf = (item: ImageItem) => testView(item, settings);
  return labelled(images, viewBatches(images, { turns: images.length, viewOf, ...settings }, unreadable));
}

async function* labelled(images: LabelledImages, batches: AsyncIterable<View[]>): AsyncGenerator<LabelledBatch> {
  for await (const views of batches) {
    const labels = Int32Array.from(views, ({ index }) => images.classOf(index));
    yield { images: toNormalised(views.map(({ rgb }) => rgb)), labels };
  }
}
