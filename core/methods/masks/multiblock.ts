import type { RandomStream } from '../../base/random.js';
import { type TokenIndices, tokenIndices } from '../../nn/tokens.js';
import type { DrawnGroup } from '../method.js';
import { type BlockSize, blockSize, drawBlock, fewestPatches, type MaskSettings } from './blocks.js';

/** The masks of images that lie side by side in a batch and keep the same numbers of patches. */
export type GroupMasks = { context: TokenIndices; target: TokenIndices };

/** The masks of a batch. */
export interface BatchMasks {
  /** Group after group, in the order of the images. */
  groups: readonly (DrawnGroup & { masks: GroupMasks })[];
  /** Context blocks that kept too few patches and had to be allowed into a target block. */
  overlapping: number;
  /** Mean number of patches of a context block before groups are cut to their smallest. */
  drawnPatches: number;
}

/** Draws of a context block's position before one target fewer is avoided. */
const DRAWS = 20;
/** A context block's aspect ratio. */
const SQUARE = [1, 1] as const;

/**
 * Draws the multi-block masks of a batch (paper, section 3; reference code, `MaskCollator`).
 *
 * The sizes of target and context blocks are drawn once for the batch, positions for each image and block. Patches of
 * target blocks are taken out of the context. Where that leaves fewer than `minKeep` patches in 20 draws, the last
 * target is no longer avoided, then the one before, so that drawing always ends. The images of a group are cut to the
 * fewest patches that one of them keeps, so that tokens form one tensor.
 *
 * A group stands for what lies on one GPU of the reference code. There every process draws sizes of its own, but from
 * the number of the batch as the seed, so that they are the same on all (but for loading threads that overtake one
 * another): here they are the batch's.
 *
 * Settings must have passed `checkMaskSettings`.
 */
export function drawMasks(settings: MaskSettings, images: number, stream: RandomStream): BatchMasks {
  const { contextBlocks } = settings;
  const sizes = {
    target: blockSize(settings.gridSize, settings.targetScale, settings.targetAspect, stream.uniform()),
    context: blockSize(settings.gridSize, settings.contextScale, SQUARE, stream.uniform()),
  };
  const groupSize = settings.group ?? images;
  const groups: BatchMasks['groups'][number][] = [];
  let overlapping = 0;
  let drawnPatches = 0;
  for (let from = 0; from < images; from += groupSize) {
    const imageCount = Math.min(groupSize, images - from);
    const drawn = drawGroup(settings, sizes, imageCount, stream);
    groups.push({ imageCount, masks: drawn.masks });
    overlapping += drawn.overlapping;
    drawnPatches += drawn.contextPatches / (images * contextBlocks);
  }
  return { groups, overlapping, drawnPatches };
}

/** The masks of a group, and how many patches its contexts had before they were cut. */
function drawGroup(
  settings: MaskSettings,
  sizes: Record<'target' | 'context', BlockSize>,
  images: number,
  stream: RandomStream,
) {
  const { gridSize, targetBlocks, contextBlocks } = settings;
  const patchCount = gridSize ** 2;
  const targetPatches: Int32Array[][] = [];
  const contextPatches: Int32Array[][] = [];
  let overlapping = 0;
  for (let image = 0; image < images; image++) {
    const { blocks, covered } = drawTargets(settings, sizes.target, stream);
    targetPatches.push(blocks);
    const drawn = Array.from({ length: contextBlocks }, () => drawContext(settings, sizes.context, covered, stream));
    contextPatches.push(drawn.map(({ patches }) => patches));
    overlapping += drawn.filter(({ avoided }) => avoided < targetBlocks).length;
  }
  const cut = settings.mode === 'reference' ? cutLast : cutRandom(stream);
  return {
    masks: {
      context: collate(contextPatches, contextBlocks, patchCount, cut),
      target: collate(targetPatches, targetBlocks, patchCount, cut),
    },
    overlapping,
    contextPatches: contextPatches.flat().reduce((sum, { length }) => sum + length, 0),
  };
}

/** An image's target blocks, and for each patch the number (from 1) of the first block that covers it, or 0. */
function drawTargets(settings: MaskSettings, size: BlockSize, stream: RandomStream) {
  const { gridSize, targetBlocks } = settings;
  const covered = new Uint16Array(gridSize * gridSize);
  const blocks: Int32Array[] = [];
  for (let target = 1; target <= targetBlocks; target++) {
    const patches = drawBlock(settings, size, stream);
    for (const patch of patches) covered[patch] ||= target;
    blocks.push(patches);
  }
  return { blocks, covered };
}

/** A context block without the patches of the first `avoided` targets. */
function drawContext(settings: MaskSettings, size: BlockSize, covered: Uint16Array, stream: RandomStream) {
  const fewest = fewestPatches(settings);
  for (let avoided = settings.targetBlocks; avoided >= 0; avoided--) {
    for (let draw = 0; draw < DRAWS; draw++) {
      const patches = drawBlock(settings, size, stream).filter(
        (patch) => covered[patch] === 0 || (covered[patch] as number) > avoided,
      );
      if (patches.length >= fewest) return { patches, avoided };
    }
  }
  throw new Error(`no context block of ${size.height} x ${size.width} keeps ${fewest} patches`);
}

/** Takes some patches of a block away, so that `count` are left in ascending order. */
type Cut = (patches: Int32Array, count: number) => Int32Array;

const cutLast: Cut = (patches, count) => patches.subarray(0, count);

/** Draws which patches are left (the first steps of Fisher-Yates). */
function cutRandom(stream: RandomStream): Cut {
  return (patches, count) => {
    if (patches.length === count) return patches;
    const shuffled = patches.slice();
    for (let place = 0; place < count; place++) {
      const chosen = stream.integer(place, patches.length - 1);
      const patch = shuffled[place] as number;
      shuffled[place] = shuffled[chosen] as number;
      shuffled[chosen] = patch;
    }
    return shuffled.subarray(0, count).sort();
  };
}

/** Cuts every block to the length of the shortest and lists them mask by mask: [B][M][...] -> [M B K]. */
function collate(blocks: readonly Int32Array[][], maskCount: number, patchCount: number, cut: Cut): TokenIndices {
  const tokenCount = Math.min(...blocks.flat().map((block) => block.length));
  const masks = Array.from({ length: maskCount }, (_, mask) =>
    blocks.map((image) => cut(image[mask] as Int32Array, tokenCount)),
  );
  return tokenIndices(masks, patchCount);
}
