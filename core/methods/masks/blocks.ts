import type { RandomStream } from '../../base/random.js';
import { roundHalfToEven } from '../../base/rounding.js';

/** A range of numbers, both ends included. */
export type Interval = readonly [number, number];

/** Size of a block in patches. */
export interface BlockSize {
  height: number;
  width: number;
}

/** How masks are drawn (paper, section 3 and appendix A.1; reference code, `MaskCollator`). */
export interface MaskSettings {
  /** Side of the patch grid. */
  gridSize: number;
  /** Target blocks an image. */
  targetBlocks: number;
  /** Part of the grid that a target block covers. */
  targetScale: Interval;
  /** Height / width of a target block. */
  targetAspect: Interval;
  /** Context blocks an image. */
  contextBlocks: number;
  /** Part of the grid that a context block covers before targets are taken out. */
  contextScale: Interval;
  /** Patches that a block must keep. */
  minKeep: number;
  mode: MaskMode;
  /** Images that are brought to one number of patches together; null for all of a batch. */
  group: number | null;
}

/**
 * How positions are drawn and images of a group are brought to one number of patches.
 * - `inclusive`: a block may lie anywhere in the grid; a context with more patches than the group's smallest loses
 *   random ones.
 * - `reference`: as in the reference code. A random position never reaches the last row and column; a block must keep
 *   more than `minKeep` patches instead of at least as many; a context with too many patches loses its last ones, row
 *   by row, so that the bottom of pictures is hardly ever seen.
 */
export const MASK_MODES = ['inclusive', 'reference'] as const;
export type MaskMode = (typeof MASK_MODES)[number];

/** The fewest patches that a block may keep. */
export function fewestPatches({ minKeep, mode }: Pick<MaskSettings, 'minKeep' | 'mode'>): number {
  return mode === 'reference' ? minKeep + 1 : minKeep;
}

/**
 * The size of a block. One uniform number u in [0, 1] drives both area and aspect:
 * keep = ⌊N (s₀ + u (s₁ - s₀))⌋, a = a₀ + u (a₁ - a₀), h = round √(keep a), w = round √(keep / a),
 * each lowered below the grid's side.
 */
export function blockSize(gridSize: number, scale: Interval, aspect: Interval, u: number): BlockSize {
  const keep = Math.floor(gridSize * gridSize * (scale[0] + u * (scale[1] - scale[0])));
  const ratio = aspect[0] + u * (aspect[1] - aspect[0]);
  return {
    height: Math.min(gridSize - 1, roundHalfToEven(Math.sqrt(keep * ratio))),
    width: Math.min(gridSize - 1, roundHalfToEven(Math.sqrt(keep / ratio))),
  };
}

/**
 * Every size that a block can have under the settings, smallest area first.
 *
 * Sizes change where u makes keep, √(keep a) or √(keep / a) cross a bound; one u from each piece between tells all.
 */
export function possibleSizes(gridSize: number, scale: Interval, aspect: Interval): BlockSize[] {
  const cells = gridSize * gridSize;
  const bounds = [0, 1];
  const addBound = (value: number, [from, to]: Interval) => {
    const u = (value - from) / (to - from);
    if (u > 0 && u < 1) bounds.push(u); // not where from equals to: u is then infinite or NaN
  };
  for (let keep = Math.floor(cells * scale[0]); keep <= Math.ceil(cells * scale[1]); keep++) {
    addBound(keep / cells, scale);
    for (let side = 0; side <= gridSize; side++) {
      addBound((side + 0.5) ** 2 / keep, aspect);
      addBound(keep / (side + 0.5) ** 2, aspect);
    }
  }
  bounds.sort((a, b) => a - b);
  const sizes = new Map<number, BlockSize>();
  bounds.forEach((bound, at) => {
    for (const u of [bound, (bound + (bounds[at + 1] ?? 1)) / 2]) {
      const size = blockSize(gridSize, scale, aspect, u);
      sizes.set(size.height * gridSize + size.width, size);
    }
  });
  return [...sizes.values()].sort((a, b) => a.height * a.width - b.height * b.width);
}

/** Top left corner of a block, each place as likely as the others. */
export function drawCorner(
  { gridSize, mode }: Pick<MaskSettings, 'gridSize' | 'mode'>,
  { height, width }: BlockSize,
  stream: RandomStream,
): { top: number; left: number } {
  const beyond = mode === 'inclusive' ? 0 : 1;
  return {
    top: stream.integer(0, gridSize - height - beyond),
    left: stream.integer(0, gridSize - width - beyond),
  };
}
