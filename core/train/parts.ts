import { mapValues } from '../base/map-values.js';
import { tf } from '../engine/tf.js';
import { drawnTensors } from '../methods/batch.js';
import type { DrawnGroup, Method, Part } from '../methods/method.js';
import { masksOfImages, maskTensors } from '../nn/tokens.js';

/** What one step learns from, on one rank. */
export interface TrainBatch {
  /** Of each view the normalised pixels, image by image: [B count, S, S, 3]. */
  readonly views: Readonly<Record<string, Float32Array>>;
  /** What was drawn for the images, group after group. */
  readonly groups: readonly DrawnGroup[];
  /** Images of the whole batch over all ranks; those of `groups` where it is left out. */
  readonly total?: number;
}

/** The images of a batch, from one up to another, that a rank computes. */
export function shareOf(
  imageCount: number,
  { rank, size }: { rank: number; size: number },
): [from: number, to: number] {
  return [Math.floor((imageCount * rank) / size), Math.floor((imageCount * (rank + 1)) / size)];
}

/** What was drawn for the images `from` up to `to` of a batch. */
export function groupsOfImages(groups: readonly DrawnGroup[], from: number, to: number): DrawnGroup[] {
  let start = 0;
  return groups.flatMap((group) => {
    const [first, last] = [Math.max(0, from - start), Math.min(group.imageCount, to - start)];
    start += group.imageCount;
    return first < last ? [imagesOfGroup(group, first, last)] : [];
  });
}

/** What is the same for all parts of a step. */
export type PartContext = Pick<Part, 'state' | 'rates'>;

/**
 * Cuts a batch into parts, of which `concurrency` one after the other have at most `microBatchSize` images, and puts them
 * on the engine. A part never holds images of two groups, which keep different numbers of patches. State and rates are
 * shared by all.
 * @param sides of the views' images, in pixels, by name
 */
export function splitBatch(
  views: Method['views'],
  sides: Readonly<Record<string, number>>,
  batch: TrainBatch,
  context: PartContext,
  microBatchSize: number,
  concurrency: number,
): Part[] {
  const counts = batch.groups.map(({ imageCount }) => imageCount);
  const images = counts.reduce((sum, count) => sum + count, 0);
  const { total = images } = batch;
  const cutters = Object.fromEntries(
    views.map(({ name, count }) => [name, viewCutter(name, batch.views[name], count, sides[name], images)]),
  );
  const parts: Part[] = [];
  let start = 0;
  for (const [at, lengths] of partLengths(counts, microBatchSize, concurrency).entries()) {
    const group = batch.groups[at];
    let from = 0;
    for (const length of lengths) {
      parts.push({
        views: mapValues(cutters, (cut) => cut(start, start + length)),
        ...drawnOf(group, from, from + length),
        ...context,
        fraction: length / total,
      });
      start += length;
      from += length;
    }
  }
  return parts;
}

/** What was drawn for images `from` up to `to` of a group. */
function imagesOfGroup({ masks, values = {}, imageCount }: DrawnGroup, from: number, to: number) {
  return {
    imageCount: to - from,
    masks: mapValues(masks, (mask, name) => {
      if (mask.imageCount !== imageCount)
        throw new Error(`the mask ${name} of ${imageCount} images is of ${mask.imageCount}`);
      return masksOfImages(mask, from, to);
    }),
    values: mapValues(values, ({ shape, values }) => {
      const size = values.length / imageCount;
      return { shape: [to - from, ...shape.slice(1)], values: values.subarray(from * size, to * size) };
    }),
  };
}

/** The same on the engine. */
function drawnOf(group: DrawnGroup, from: number, to: number) {
  const { masks, values } = imagesOfGroup(group, from, to);
  return { masks: mapValues(masks, maskTensors), values: drawnTensors(values) };
}

/** Cuts the crops of some images out of a view: [count b, S, S, 3]. */
function viewCutter(name: string, pixels: Float32Array | undefined, count: number, side: number, images: number) {
  const size = count * side * side * 3;
  if (pixels?.length !== images * size) {
    throw new Error(
      `a batch of ${images} images with ${count} views '${name}' of ${side} px received ${pixels?.length} values`,
    );
  }
  return (from: number, to: number) =>
    tf.tensor4d(pixels.subarray(from * size, to * size), [(to - from) * count, side, side, 3]);
}

/**
 * The images of each part, group by group: whole groups where as many as are computed at once fit, or else pieces of
 * `microBatchSize` images that they share. A group that would be computed alone at the end is shared as well.
 */
export function partLengths(groups: readonly number[], microBatchSize: number, concurrency: number): number[][] {
  const lengths = groups.map((images) => {
    if (images * concurrency <= microBatchSize) return [images];
    return spread(images, microBatchSize).flatMap((piece) => cutInto(piece, concurrency));
  });
  const last = lengths.at(-1);
  if (last?.length === 1 && lengths.flat().length % concurrency === 1)
    lengths[lengths.length - 1] = cutInto(last[0], concurrency);
  return lengths;
}

/** Pieces of `length` images, and a smaller one for the rest. */
function spread(images: number, length: number): number[] {
  return Array.from({ length: Math.ceil(images / length) }, (_, at) => Math.min(length, images - at * length));
}

/** At most so many parts, as equal as can be, the larger ones first. */
function cutInto(images: number, parts: number): number[] {
  return Array.from({ length: parts }, (_, at) => Math.ceil((images - at) / parts)).filter((length) => length > 0);
}
