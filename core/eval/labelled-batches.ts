import { inOrder } from '../base/pool.js';
import { RandomStream } from '../base/random.js';
import type { LabelledImages } from '../contract/data-sets.js';
import { stepsPerEpoch } from '../data/loader.js';
import { toNormalised } from '../data/normalise.js';
import { epochOrders } from '../data/order.js';
import type { Picture } from '../data/picture.js';
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

export interface BatchSettings extends ViewSettings {
  batchSize: number;
  /** Images that are decoded at the same time. */
  workers: number;
}

interface TrainingSettings {
  seed: number;
  epochs: number;
  /** What is done to a view beside crop and flip; null for nothing. */
  change: ((picture: Picture, stream: RandomStream) => Picture) | null;
}

/**
 * The batches of all epochs: every epoch in a random order of its own, each image as a random view; the images after the
 * last whole batch are left to other epochs. The order and each view depend on the seed, the epoch and the position alone.
 *
 * Batches lack the images that cannot be read. The next batch is decoded while the caller computes.
 */
export function trainingBatches(
  images: LabelledImages,
  settings: BatchSettings & TrainingSettings,
  unreadable: UnreadableShare,
): AsyncGenerator<LabelledBatch> {
  const { batchSize, imageSize, seed, epochs, change } = settings;
  const epochImages = stepsPerEpoch(images.length, batchSize) * batchSize;
  const orderOf = epochOrders(seed, images.length);
  function* places(): Generator<Place> {
    for (let epoch = 0; epoch < epochs; epoch++) {
      const order = orderOf(epoch);
      for (let position = 0; position < epochImages; position++) yield { epoch, position, index: order(position) };
    }
  }
  return batchesOf(images, places(), settings, unreadable, async ({ epoch, position, index }) => {
    const rgb = await trainView(
      images.item(index),
      settings,
      new RandomStream(seed, 'fine-tune/view', epoch, position),
    );
    const picture = { rgb, width: imageSize, height: imageSize };
    return change ? change(picture, new RandomStream(seed, 'fine-tune/change', epoch, position)).rgb : rgb;
  });
}

/** All images once, in their order, as test views; the last batch may be smaller, and so is one with unreadable images. */
export function testBatches(
  images: LabelledImages,
  settings: BatchSettings,
  unreadable: UnreadableShare,
): AsyncGenerator<LabelledBatch> {
  const places = Array.from({ length: images.length }, (_, index) => ({ epoch: 0, position: index, index }));
  return batchesOf(images, places, settings, unreadable, ({ index }) => testView(images.item(index), settings));
}

/** An image in its turn. */
interface Place {
  epoch: number;
  /** In the epoch's order. */
  position: number;
  /** In the data set. */
  index: number;
}

async function* batchesOf(
  images: LabelledImages,
  places: Iterable<Place>,
  { batchSize, workers }: BatchSettings,
  unreadable: UnreadableShare,
  viewOf: (place: Place) => Promise<Uint8Array>,
): AsyncGenerator<LabelledBatch> {
  const read = async (place: Place): Promise<LabelledView> => {
    const { index } = place;
    try {
      return { label: images.classOf(index), rgb: await viewOf(place) };
    } catch (error) {
      unreadable.add(index, { name: images.item(index).name, reason: unreadableReason(error) });
      return { label: images.classOf(index), rgb: null };
    }
  };
  let views: LabelledView[] = [];
  for await (const view of inOrder(places, read, { atOnce: workers, ahead: 2 * batchSize })) {
    views.push(view);
    if (views.length < batchSize) continue;
    yield batchOf(views);
    views = [];
  }
  if (views.length > 0) yield batchOf(views);
}

/** An image's class, and its view, [S, S, 3], or null where it cannot be read. */
interface LabelledView {
  label: number;
  rgb: Uint8Array | null;
}

function batchOf(views: readonly LabelledView[]): LabelledBatch {
  const readable = views.filter((view): view is LabelledView & { rgb: Uint8Array } => view.rgb !== null);
  return {
    images: toNormalised(readable.map(({ rgb }) => rgb)),
    labels: Int32Array.from(readable, ({ label }) => label),
  };
}
