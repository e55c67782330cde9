import type { RandomStream } from '../../base/random.js';
import { type TokenIndices, tokenIndices } from '../../nn/tokens.js';
import type { DrawnGroup } from '../method.js';
import { type BlockSize, blockSize, drawBlock, fewestPatches, type MaskSettings, SQUARE } from './blocks.js';

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

/**
 * Draws the multi-block masks of a batch (paper, section 3; reference code, `MaskCollator`).
 *
 * The sizes of target and context blocks are drawn once for the batch, positions for each image and block. Patches of
 * target blocks are taken out of the context. Where that leaves fewer than `minKeep` patches in 20 draws, the last
 * target is no longer avoided, then the one before, so that drawing always ends. The images of a group are cut to the
 * fewest patches that one of them keeps, so that tokens form one tensor.
 *
 * A group stands for what lies on one GPU of the reference code; the README of methods tells what differs. Settings must have passed `checkMaskSettings`.
 */
export function drawMasks(settings: MaskSettings, images: number, stream: RandomStream): BatchMasks {
  const { gridSize, targetBlocks, targetScale, targetAspect, contextBlocks, contextScale } = settings;
  const targetSize = blockSize(gridSize, targetScale, targetAspect, stream.uniform());
  const contextSize = blockSize(gridSize, contextScale, SQUARE, stream.uniform());
  const groupSize = settings.group ?? images;
  const groups: BatchMasks['groups'][number][] = [];
  let overlapping = 0;
  let drawnPatches = 0;
  for (let from = 0; from < images; from += groupSize) {
    const imageCount = Math.min(groupSize, images - from);
    const targets: Int32Array[][] = [];
    const contexts: Int32Array[][] = [];
    for (let image = 0; image < imageCount; image++) {
      const blocks = Array.from({ length: targetBlocks }, () => drawBlock(settings, targetSize, stream));
      const firstTarget = firstTargets(blocks, gridSize);
      const drawn = Array.from({ length: contextBlocks }, () =>
        drawContext(settings, contextSize, firstTarget, stream),
      );
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
