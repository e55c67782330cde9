import type { RandomStream } from '../random.js';

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
  targets: number;
  /** Part of the grid that a target block covers. */
  targetScale: Interval;
  /** Height / width of a target block. */
  targetAspect: Interval;
  /** Context blocks an image. */
  contexts: number;
  /** Part of the grid that a context block covers before targets are taken out. */
  contextScale: Interval;
  /** Patches that a block must keep. */
  minKeep: number;
  /**
   * Where a block may lie.
   * - `inclusive`: everywhere in the grid.
   * - `reference`: as in the reference code, whose random position never reaches the last row and column, and which
   *   wants more than `minKeep` patches instead of at least as many.
   */
  positions: MaskPositions;
}

export const MASK_POSITIONS = ['inclusive', 'reference'] as const;
export type MaskPositions = (typeof MASK_POSITIONS)[number];

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

/** Every size that a block can have under the settings, smallest area first. */
export function possibleSizes(gridSize: number, scale: Interval, aspect: Interval): BlockSize[] {
  const steps = 20_000;
  const sizes = new Map<string, BlockSize>();
  for (let i = 0; i <= steps; i++) {
    const size = blockSize(gridSize, scale, aspect, i / steps);
    sizes.set(`${size.height}x${size.width}`, size);
  }
  return [...sizes.values()].sort((a, b) => a.height * a.width - b.height * b.width);
}

/** Top left corner of a block, each place as likely as the others. */
export function drawCorner(
  { gridSize, positions }: Pick<MaskSettings, 'gridSize' | 'positions'>,
  { height, width }: BlockSize,
  stream: RandomStream,
): { top: number; left: number } {
  const beyond = positions === 'inclusive' ? 0 : 1;
  return {
    top: stream.integer(0, gridSize - height - beyond),
    left: stream.integer(0, gridSize - width - beyond),
  };
}

/** Python's `round`: halves go to the even neighbour. */
function roundHalfToEven(x: number): number {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}
