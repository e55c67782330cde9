import { type Tensor, tf } from '../engine/tf.js';
import type { Ijepa } from '../methods/ijepa/model.js';
import type { GroupMasks } from '../methods/masks/multiblock.js';
import { type MaskIndices, type MaskTensors, maskTensors } from '../nn/tokens.js';

/** What one step learns from. */
export interface TrainBatch {
  /** Normalised images, [B, S, S, 3]. */
  images: Float32Array;
  /** Of the images, group after group. */
  masks: readonly GroupMasks[];
}

/** A part of a batch that is computed at once. */
export type MicroBatch = {
  /** [b, S, S, 3] */
  images: Tensor;
  context: MaskTensors;
  targets: MaskTensors;
  /** Its part of the batch's images; the parts' sum is 1. */
  share: number;
};

/**
 * Cuts a batch into parts, of which `lanes` one after the other have at most `microBatchSize` images, and puts them on the
 * engine. A part never holds images of two mask groups, which keep different numbers of patches.
 */
export function microBatches(model: Ijepa, batch: TrainBatch, microBatchSize: number, lanes: number): MicroBatch[] {
  const side = model.size.imageSize;
  const pixels = side * side * 3;
  const counts = batch.masks.map(({ context }) => context.images);
  const count = counts.reduce((sum, images) => sum + images, 0);
  if (batch.images.length !== count * pixels || batch.masks.some(({ targets }, at) => targets.images !== counts[at])) {
    throw new Error(`a batch of ${count} images of ${side} px received ${batch.images.length} values`);
  }
  const parts: MicroBatch[] = [];
  let start = 0;
  for (const [at, lengths] of partLengths(counts, microBatchSize, lanes).entries()) {
    const { context, targets } = batch.masks[at] as GroupMasks;
    let from = 0;
    for (const length of lengths) {
      const pixelsOf = batch.images.subarray(start * pixels, (start + length) * pixels);
      parts.push({
        images: tf.tensor4d(pixelsOf, [length, side, side, 3]),
        context: maskTensors(imagesOf(context, from, from + length), model.patchCount),
        targets: maskTensors(imagesOf(targets, from, from + length), model.patchCount),
        share: length / count,
      });
      start += length;
      from += length;
    }
  }
  return parts;
}

/**
 * The images of each part, group by group: whole groups where the lanes hold one each, or else pieces of
 * `microBatchSize` images that the lanes share. A group that would be computed alone at the end is shared as well.
 */
export function partLengths(groups: readonly number[], microBatchSize: number, lanes: number): number[][] {
  const lengths = groups.map((images) => {
    if (images * lanes <= microBatchSize) return [images];
    return spread(images, microBatchSize).flatMap((piece) => cutInto(piece, lanes));
  });
  const last = lengths.at(-1);
  if (last?.length === 1 && lengths.flat().length % lanes === 1)
    lengths[lengths.length - 1] = cutInto(last[0] as number, lanes);
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

/** The masks of images `from` up to `to`. */
function imagesOf(mask: MaskIndices, from: number, to: number): MaskIndices {
  const { masks, images, tokens, indices } = mask;
  const rows = Array.from({ length: masks }, (_, m) =>
    indices.subarray((m * images + from) * tokens, (m * images + to) * tokens),
  );
  const kept = new Int32Array(masks * (to - from) * tokens);
  rows.forEach((row, m) => {
    kept.set(row, m * row.length);
  });
  return { masks, images: to - from, tokens, indices: kept };
}
