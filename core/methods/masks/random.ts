import type { RandomStream } from '../../base/random.js';
import { type TokenIndices, tokenIndices } from '../../nn/tokens.js';

/** How many patches a random mask leaves, at least 1; rounded down, as in the official code of MAE and MSN. */
export function keptPatches(patchCount: number, maskRatio: number): number {
  return Math.max(1, Math.floor(patchCount * (1 - maskRatio)));
}

/** So many random patches of each image, other ones of each, and all that are left; in the order of the grid. */
export function randomPatches(
  stream: RandomStream,
  imageCount: number,
  patchCount: number,
  kept: number,
): Record<'visible' | 'masked', TokenIndices> {
  const orders = Array.from({ length: imageCount }, () => stream.permutation(patchCount));
  return {
    visible: tokenIndices([orders.map((order) => order.slice(0, kept).sort())], patchCount),
    masked: tokenIndices([orders.map((order) => order.slice(kept).sort())], patchCount),
  };
}
