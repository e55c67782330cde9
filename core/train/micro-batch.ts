import { type Tensor, tf } from '../engine/tf.js';
import type { Ijepa } from '../model/ijepa.js';
import { type MaskIndices, type MaskTensors, maskTensors } from '../model/tokens.js';

/** What one step learns from. */
export interface TrainBatch {
  /** Normalised images, [B, S, S, 3]. */
  images: Float32Array;
  context: MaskIndices;
  targets: MaskIndices;
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

/** Cuts a batch into parts of at most `microBatchSize` images and puts them on the engine. */
export function microBatches(model: Ijepa, batch: TrainBatch, microBatchSize: number): MicroBatch[] {
  const side = model.size.imageSize;
  const pixels = side * side * 3;
  const count = batch.context.images;
  if (batch.images.length !== count * pixels || batch.targets.images !== count) {
    throw new Error(`a batch of ${count} images of ${side} px received ${batch.images.length} values`);
  }
  const parts: MicroBatch[] = [];
  for (let from = 0; from < count; from += microBatchSize) {
    const to = Math.min(count, from + microBatchSize);
    parts.push({
      images: tf.tensor4d(batch.images.subarray(from * pixels, to * pixels), [to - from, side, side, 3]),
      context: maskTensors(imagesOf(batch.context, from, to), model.patchCount),
      targets: maskTensors(imagesOf(batch.targets, from, to), model.patchCount),
      share: (to - from) / count,
    });
  }
  return parts;
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
