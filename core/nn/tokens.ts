import { type Tensor, tf } from '../engine/tf.js';

/**
 * Masks as one list of patch indices: mask after mask, image after image.
 *
 * Letters: M masks an image, B images, K patches a mask, N patches of an image; every mask keeps the same number.
 */
export interface TokenIndices {
  /** M */
  readonly maskCount: number;
  /** B */
  readonly imageCount: number;
  /** K */
  readonly tokenCount: number;
  /** N */
  readonly patchCount: number;
  /** Patch numbers in the grid, [M B K]. */
  readonly indices: Int32Array;
}

/** Puts lists of patches, all of one length, together: mask by mask, image by image, [M][B][K] -> [M B K]. */
export function tokenIndices(masks: readonly (readonly ArrayLike<number>[])[], patchCount: number): TokenIndices {
  const [maskCount, imageCount, tokenCount] = [masks.length, masks[0]?.length ?? 0, masks[0]?.[0]?.length ?? 0];
  const indices = new Int32Array(maskCount * imageCount * tokenCount);
  for (const [at, patches] of masks.flat().entries()) indices.set(patches, at * tokenCount);
  return { maskCount, imageCount, tokenCount, patchCount, indices };
}

/** Masks whose indices are on the engine, as rows of [B N, ...] and as rows of [N, ...]. */
export type MaskTensors = Pick<TokenIndices, 'maskCount' | 'imageCount' | 'tokenCount'> & {
  /** Row of each kept patch among all patches of all images, [M B K]. */
  rows: Tensor;
  /** Number of each kept patch in its grid, [M B K]. */
  patches: Tensor;
};

/** Puts masks on the engine; the caller owns the two tensors. */
export function maskTensors({ patchCount, indices, ...counts }: TokenIndices): MaskTensors {
  const { maskCount, imageCount, tokenCount } = counts;
  if (indices.length !== maskCount * imageCount * tokenCount) {
    throw new Error(`a mask expected ${maskCount} x ${imageCount} x ${tokenCount} indices, received ${indices.length}`);
  }
  const rows = indices.map((patch, at) => (Math.floor(at / tokenCount) % imageCount) * patchCount + patch);
  return { ...counts, rows: tf.tensor1d(rows, 'int32'), patches: tf.tensor1d(indices, 'int32') };
}

/** The masks of images `from` up to `to`. */
export function masksOfImages(masks: TokenIndices, from: number, to: number): TokenIndices {
  const { maskCount, imageCount, tokenCount } = masks;
  const indices = new Int32Array(maskCount * (to - from) * tokenCount);
  for (let mask = 0; mask < maskCount; mask++) {
    const row = masks.indices.subarray((mask * imageCount + from) * tokenCount, (mask * imageCount + to) * tokenCount);
    indices.set(row, mask * row.length);
  }
  return { ...masks, imageCount: to - from, indices };
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
  if (images !== mask.imageCount) throw new Error(`a mask of ${mask.imageCount} images was given ${images}`);
  return tf
    .gather(tokens.reshape([images * patches, width]), mask.rows) // [M B K, D]
    .reshape([mask.maskCount * images, mask.tokenCount, width]);
}

/** The positions of kept tokens: [N, D] -> [M B, K, D]. */
export function keepPositions(positions: Tensor, mask: MaskTensors): Tensor {
  return tf
    .gather(positions, mask.patches)
    .reshape([mask.maskCount * mask.imageCount, mask.tokenCount, positions.shape[1] as number]);
}

/**
 * Repeats the rows of each mask: [T B, J, D] -> [T R B, J, D], every mask's B rows R times in a row.
 * One target mask is predicted from each of the R context masks.
 */
export function repeatMasks(tokens: Tensor, mask: MaskTensors, times: number): Tensor {
  if (times === 1) return tokens;
  const width = tokens.shape[2] as number;
  return tf
    .tile(tokens.reshape([mask.maskCount, 1, mask.imageCount * mask.tokenCount * width]), [1, times, 1]) // [T, R, B J D]
    .reshape([mask.maskCount * times * mask.imageCount, mask.tokenCount, width]);
}
