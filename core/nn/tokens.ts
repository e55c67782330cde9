import { type Tensor, tf } from '../engine/tf.js';

/**
 * Masks as one list of patch indices: mask after mask, image after image.
 *
 * Letters: M masks an image, B images, K patches a mask; every mask of a batch keeps the same number.
 */
export interface MaskIndices {
  /** Masks an image, M. */
  masks: number;
  /** Images, B. */
  images: number;
  /** Patches that each mask keeps, K. */
  tokens: number;
  /** Patch numbers in the grid, [M B K]. */
  indices: Int32Array;
}

/** Masks whose indices are on the engine, as rows of [B N, ...] and as rows of [N, ...]. */
export type MaskTensors = {
  masks: number;
  images: number;
  tokens: number;
  /** Row of each kept patch among all patches of all images, [M B K]. */
  rows: Tensor;
  /** Number of each kept patch in its grid, [M B K]. */
  patches: Tensor;
};

/** Puts masks on the engine; the caller owns the two tensors. */
export function maskTensors(mask: MaskIndices, patchCount: number): MaskTensors {
  const { masks, images, tokens, indices } = mask;
  if (indices.length !== masks * images * tokens) {
    throw new Error(`a mask expected ${masks} x ${images} x ${tokens} indices, received ${indices.length}`);
  }
  const rows = indices.map((patch, at) => (Math.floor(at / tokens) % images) * patchCount + patch);
  return { masks, images, tokens, rows: tf.tensor1d(rows, 'int32'), patches: tf.tensor1d(indices, 'int32') };
}

/**
 * The kept tokens of each image, mask by mask: row m B + b holds mask m of image b.
 *
 * Used on constants only (pixels, positions, targets), so that no gradient of a gather is ever needed.
 * @param tokens [B, N, D]
 * @returns [M B, K, D]
 */
export function keepTokens(tokens: Tensor, mask: MaskTensors): Tensor {
  const [images, patches, width] = tokens.shape as [number, number, number];
  if (images !== mask.images) throw new Error(`a mask of ${mask.images} images was given ${images}`);
  return tf
    .gather(tokens.reshape([images * patches, width]), mask.rows) // [M B K, D]
    .reshape([mask.masks * images, mask.tokens, width]);
}

/** The positions of kept tokens: [N, D] -> [M B, K, D]. */
export function keepPositions(positions: Tensor, mask: MaskTensors): Tensor {
  return tf
    .gather(positions, mask.patches)
    .reshape([mask.masks * mask.images, mask.tokens, positions.shape[1] as number]);
}
