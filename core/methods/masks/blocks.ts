import type { RandomStream } from '../../base/random.js';
import { roundHalfToEven } from '../../base/rounding.js';
import type { Pair } from '../../config/option.js';
import { type TokenIndices, tokenIndices } from '../../nn/tokens.js';
import type { DrawnGroup } from '../method.js';

/** Size of a block in patches. */
export type BlockSize = { height: number; width: number };

/** How masks are drawn (paper, section 3 and appendix A.1; reference code, `MaskCollator`). */
export interface MaskSettings {
  /** Side of the patch grid. */
  gridSize: number;
  /** Target blocks an image. */
  targetBlocks: number;
  /** Part of the grid that a target block covers. */
  targetScale: Pair;
  /** Height / width of a target block. */
  targetAspect: Pair;
  /** Context blocks an image. */
  contextBlocks: number;
  /** Part of the grid that a context block covers before targets are taken out. */
  contextScale: Pair;
  /** Patches that a block must keep. */
  minKeep: number;
  mode: (typeof MASK_MODES)[number];
  /** Images that are brought to one number of patches together; null for all of a batch. */
  group: number | null;
}

/**
 * How positions are drawn and images of a group are brought to one number of patches: a block may lie anywhere in the grid
 * and contexts lose random patches, or as in the reference code; the README of methods tells how that differs.
 */
export const MASK_MODES = ['inclusive', 'reference'] as const;

/** A context block's aspect ratio. */
export const SQUARE: Pair = [1, 1];

/** The fewest patches that a block may keep; the reference code wants more than `minKeep`. */
export function fewestPatches({ minKeep, mode }: Pick<MaskSettings, 'minKeep' | 'mode'>): number {
  return mode === 'reference' ? minKeep + 1 : minKeep;
}

/**
 * The size of a block. One uniform number u in [0, 1] drives both area and aspect:
 * keep = ⌊N (s₀ + u (s₁ - s₀))⌋, a = a₀ + u (a₁ - a₀), h = round √(keep a), w = round √(keep / a),
 * each lowered below the grid's side.
 */
export function blockSize(gridSize: number, scale: Pair, aspect: Pair, u: number): BlockSize {
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
export function possibleSizes(gridSize: number, scale: Pair, aspect: Pair): BlockSize[] {
  const cells = gridSize * gridSize;
  const bounds = [0, 1];
  const addBound = (value: number, [from, to]: Pair) => {
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

/** Numbers of the patches of a block that is drawn, in ascending order; each place is as likely as the others. */
function drawBlock(
  { gridSize, mode }: Pick<MaskSettings, 'gridSize' | 'mode'>,
  { height, width }: BlockSize,
  stream: RandomStream,
): Int32Array {
  const beyond = mode === 'inclusive' ? 0 : 1;
  const top = stream.integer(0, gridSize - height - beyond);
  const left = stream.integer(0, gridSize - width - beyond);
  const patches = new Int32Array(height * width);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      patches[row * width + column] = (top + row) * gridSize + left + column;
    }
  }
  return patches;
}

/** The masks of images that lie side by side in a batch and keep the same numbers of patches. */
export type GroupMasks = { context: TokenIndices; target: TokenIndices };

/** The masks of a batch. */
export type BatchMasks = ReturnType<typeof drawMasks>;

/** Draws of a context block's position before one target fewer is avoided. */
const DRAWS = 20;

/**
 * Draws the multi-block masks of a batch (paper, section 3; reference code, `MaskCollator`).
 *
 * The sizes of target and context blocks are drawn once for the batch, positions for each image and block. Patches of
 * target blocks are taken out of the context. Where that leaves fewer than `minKeep` patches in 20 draws, the last
 * target is no longer avoided, then the one before, so that drawing always ends. The images of a group are cut to the
 * fewest patches that one of them keeps, so that tokens form one tensor.
 *
 * A group stands for what lies on one GPU of the reference code; the README of methods tells what differs. Settings must
 * have passed `checkMaskSettings`.
 * @returns `groups` in the order of the images; `overlapping`: how many context blocks kept too few patches and had to be
 *   allowed into a target block; `drawnPatches`: mean number of patches of a context before groups are cut to their smallest
 */
export function drawMasks(settings: MaskSettings, images: number, stream: RandomStream) {
  const { gridSize, targetBlocks, targetScale, targetAspect, contextBlocks, contextScale } = settings;
  const targetSize = blockSize(gridSize, targetScale, targetAspect, stream.uniform());
  const contextSize = blockSize(gridSize, contextScale, SQUARE, stream.uniform());
  const groupSize = settings.group ?? images;
  const groups: (DrawnGroup & { masks: GroupMasks })[] = [];
  let [overlapping, drawnPatches] = [0, 0];
  for (let from = 0; from < images; from += groupSize) {
    const imageCount = Math.min(groupSize, images - from);
    const targets: Int32Array[][] = [];
    const contexts: Int32Array[][] = [];
    for (let image = 0; image < imageCount; image++) {
      const blocks = Array.from({ length: targetBlocks }, () => drawBlock(settings, targetSize, stream));
      const first = firstTargets(blocks, gridSize);
      const drawn = Array.from({ length: contextBlocks }, () => drawContext(settings, contextSize, first, stream));
      targets.push(blocks);
      contexts.push(drawn.map(({ patches }) => patches));
      overlapping += drawn.filter(({ avoided }) => avoided < targetBlocks).length;
    }
    drawnPatches += contexts.flat().reduce((sum, { length }) => sum + length, 0) / (images * contextBlocks);
    const context = collate(contexts, settings, stream);
    groups.push({ imageCount, masks: { context, target: collate(targets, settings, stream) } });
  }
  return { groups, overlapping, drawnPatches };
}

/** For each patch the number (from 1) of the first target block that covers it; of free patches, one above all, [N]. */
function firstTargets(blocks: readonly Int32Array[], gridSize: number): Uint16Array {
  const first = new Uint16Array(gridSize ** 2).fill(blocks.length + 1);
  for (let target = blocks.length; target >= 1; target--) {
    for (const patch of blocks[target - 1]) first[patch] = target;
  }
  return first;
}

/** A context block without the patches of the first `avoided` targets. */
function drawContext(settings: MaskSettings, size: BlockSize, firstTarget: Uint16Array, stream: RandomStream) {
  const fewest = fewestPatches(settings);
  for (let avoided = settings.targetBlocks; avoided >= 0; avoided--) {
    for (let draw = 0; draw < DRAWS; draw++) {
      const patches = drawBlock(settings, size, stream).filter((patch) => firstTarget[patch] > avoided);
      if (patches.length >= fewest) return { patches, avoided };
    }
  }
  throw new Error(`no context block of ${size.height} x ${size.width} keeps ${fewest} patches`);
}

/** Cuts every block to the length of the shortest and lists them mask by mask: [B][M][...] -> [M B K]. */
function collate(blocks: readonly Int32Array[][], { gridSize, mode }: MaskSettings, stream: RandomStream) {
  const count = Math.min(...blocks.flat().map((block) => block.length));
  const cut = (patches: Int32Array) =>
    mode === 'reference' ? patches.subarray(0, count) : drawPatches(patches, count, stream);
  const masks = blocks[0].map((_, mask) => blocks.map((image) => cut(image[mask])));
  return tokenIndices(masks, gridSize ** 2);
}

/** Draws which `count` patches of a block are left, in ascending order (the first steps of Fisher-Yates). */
function drawPatches(patches: Int32Array, count: number, stream: RandomStream): Int32Array {
  if (patches.length === count) return patches;
  const shuffled = patches.slice();
  for (let place = 0; place < count; place++) {
    const chosen = stream.integer(place, patches.length - 1);
    const patch = shuffled[place];
    shuffled[place] = shuffled[chosen];
    shuffled[chosen] = patch;
  }
  return shuffled.subarray(0, count).sort();
}

/** Height / width of a block of a blockwise mask lies between this and its inverse. */
const MIN_ASPECT = 0.3;
/** Blocks that may be drawn in vain, one after the other, before a mask is finished as it is. */
const ATTEMPTS = 10;

/**
 * Masks an image block by block, up to `maskedPatches` (BEiT, Bao et al. 2022, algorithm 1); a block that would go beyond is
 * drawn again, up to ten times, so that masks of some images stay smaller. One patch is masked where no block fits at all.
 * @param settings side of the patch grid, most patches that are masked, fewest that a block is meant to have; how often a
 *   block is drawn again
 * @returns 1 for masked patches, row by row, [N]
 */
export function drawBlockwiseMask(
  {
    gridSize,
    maskedPatches,
    minBlockPatches,
    attempts = ATTEMPTS,
  }: Record<'gridSize' | 'maskedPatches' | 'minBlockPatches', number> & { attempts?: number },
  stream: RandomStream,
): Float32Array {
  const mask = new Float32Array(gridSize * gridSize);
  let room = maskedPatches;
  let failures = 0;
  while (room > 0 && failures < attempts) {
    failures++;
    const area = minBlockPatches + stream.uniform() * (room - minBlockPatches);
    const aspect = Math.exp(stream.uniform(Math.log(MIN_ASPECT), -Math.log(MIN_ASPECT)));
    const height = roundHalfToEven(Math.sqrt(area * aspect));
    const width = roundHalfToEven(Math.sqrt(area / aspect));
    if (height >= gridSize || width >= gridSize) continue;
    const block = drawBlock({ gridSize, mode: 'inclusive' }, { height, width }, stream);
    const fresh = block.filter((patch) => mask[patch] === 0);
    if (fresh.length === 0 || fresh.length > room) continue;
    for (const patch of fresh) mask[patch] = 1;
    room -= fresh.length;
    failures = 0;
  }
  if (room === maskedPatches) mask[stream.integer(0, mask.length - 1)] = 1;
  return mask;
}
