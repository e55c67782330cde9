import type { RandomStream } from '../../base/random.js';
import { roundHalfToEven } from '../../base/rounding.js';

/** How blockwise masks are drawn (BEiT, Bao et al. 2022, algorithm 1). */
export interface BlockwiseSettings {
  /** Side of the patch grid. */
  readonly gridSize: number;
  /** Most patches that are masked. */
  readonly maskedPatches: number;
  /** Fewest patches that a block is meant to have. */
  readonly minBlockPatches: number;
}

/** Height / width of a block lies between this and its inverse. */
const MIN_ASPECT = 0.3;
/** Blocks that may be drawn in vain before a mask is finished as it is. */
const ATTEMPTS = 10;

/**
 * Masks an image block by block, up to `maskedPatches`; a block that would go beyond is drawn again, up to ten times, so that
 * masks of some images stay smaller. One patch is masked where no block fits at all.
 * @returns 1 for masked patches, row by row, [N]
 */
export function drawBlockwiseMask(settings: BlockwiseSettings, stream: RandomStream): Float32Array {
  const { gridSize, maskedPatches } = settings;
  const mask = new Float32Array(gridSize * gridSize);
  let count = 0;
  for (let added = -1; count < maskedPatches && added !== 0; count += added) {
    added = addBlock(mask, maskedPatches - count, settings, stream);
  }
  if (count === 0) mask[stream.integer(0, mask.length - 1)] = 1;
  return mask;
}

/** Adds a block of at most `room` new patches. @returns how many are new; 0 where none was found */
function addBlock(
  mask: Float32Array,
  room: number,
  { gridSize, minBlockPatches }: BlockwiseSettings,
  stream: RandomStream,
): number {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const area = minBlockPatches + stream.uniform() * (room - minBlockPatches);
    const aspect = Math.exp(stream.uniform(Math.log(MIN_ASPECT), -Math.log(MIN_ASPECT)));
    const height = roundHalfToEven(Math.sqrt(area * aspect));
    const width = roundHalfToEven(Math.sqrt(area / aspect));
    if (height >= gridSize || width >= gridSize) continue;
    const top = stream.integer(0, gridSize - height);
    const left = stream.integer(0, gridSize - width);
    const block = Array.from({ length: height * width }, (_, at) => {
      return (top + Math.floor(at / width)) * gridSize + left + (at % width);
    });
    const fresh = block.filter((patch) => mask[patch] === 0);
    if (fresh.length === 0 || fresh.length > room) continue;
    for (const patch of fresh) mask[patch] = 1;
    return fresh.length;
  }
  return 0;
}
