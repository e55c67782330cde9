import { UserError } from '../../base/errors.js';
import { RandomStream } from '../../base/random.js';
import { choice, grouped, integer, interval } from '../../config/option.js';
import type { Options } from '../../config/schema.js';
import { type ImageShape, LARGEST_GRID } from '../../nn/sizes.js';
import { meanPatches } from '../batch.js';
import type { OwnOptions } from '../method.js';
import {
  type BlockSize,
  blockSize,
  drawMasks,
  fewestPatches,
  MASK_MODES,
  type MaskSettings,
  possibleSizes,
  SQUARE,
} from './blocks.js';

/** Images whose masks are drawn to see whether contexts are left. */
const TRIED_IMAGES = 64;
const REFERENCE_MIN_KEEP = 10;
/** Images over which numbers of patches are counted, in whole batches. */
const COUNTED = 1000;
/** Every step draws sizes of its own: over fewer of them, numbers of patches tell little. */
const FEWEST_STEPS = 8;

/** Options of multi-block masks (I-JEPA, section 3). */
export const MULTIBLOCK_OPTIONS = grouped('Masks', {
  targetBlocks: integer({ default: 4, min: 1, max: 64, help: 'target blocks an image' }),
  targetScale: interval({
    default: [0.15, 0.2],
    min: 0,
    max: 1,
    open: true,
    help: 'fraction of the image that a target block covers',
  }),
  targetAspect: interval({ default: [0.75, 1.5], min: 0, open: true, help: 'height / width of a target block' }),
  contextBlocks: integer({ default: 1, min: 1, max: 16, help: 'context blocks an image' }),
  contextScale: interval({
    default: [0.85, 1],
    min: 0,
    max: 1,
    open: true,
    help: 'fraction of the image that a context block covers, before targets are taken out',
  }),
  minKeep: integer({
    min: 1,
    unit: 'patches',
    help: 'patches that every block must keep',
    automatic: '10, or the smallest block where that is smaller',
  }),
  maskMode: choice({
    default: 'inclusive',
    choices: MASK_MODES,
    help: 'how blocks are placed and cut: evenly over the grid, or as in the reference code, whose blocks never reach the last row and column and whose contexts lose the bottom first',
  }),
  maskGroup: integer({
    min: 1,
    unit: 'images',
    help: 'images of a batch that are cut together to the smallest of their contexts, as those on one GPU of the reference code are; the more, the more is cut away',
    automatic: 'the whole batch',
  }),
});
export type MultiblockOptions = OwnOptions<typeof MULTIBLOCK_OPTIONS>;

/**
 * The settings that options come to, complete and checked.
 * @throws UserError where masks are impossible, with the nearest setting that works
 */
export function multiblockSettings(options: Options & MultiblockOptions): MaskSettings {
  const { targetBlocks, targetScale, targetAspect, contextBlocks, contextScale, minKeep } = options;
  const { maskMode: mode, maskGroup: group, imageSize, patchSize } = options;
  const blocks = { targetBlocks, targetScale, targetAspect, contextBlocks, contextScale, minKeep };
  return checkMaskSettings({ ...blocks, mode, group, gridSize: imageSize / patchSize }, { imageSize, patchSize });
}

/** What masks come to over many steps, in lines for people. */
export function describeMultiblock(options: Options & MultiblockOptions): string[] {
  const masks = multiblockSettings(options);
  return [
    `${masks.targetBlocks} targets, every block keeps at least ${masks.minKeep} patches`,
    describeCut(masks, options.batchSize, options.seed),
  ];
}

/** What a context block keeps of the patches that were drawn, and what cutting costs, for people. */
export function describeCut(settings: MaskSettings, batchSize: number, seed: number): string {
  const steps = Math.max(FEWEST_STEPS, Math.ceil(COUNTED / batchSize));
  let [drawn, kept, keptOfBatch] = [0, 0, 0];
  for (let step = 1; step <= steps; step++) {
    const { groups, drawnPatches } = drawMasks(settings, batchSize, new RandomStream(seed, 'masks', step));
    drawn += drawnPatches / steps;
    kept += (meanPatches(groups).context ?? 0) / steps;
    keptOfBatch += Math.min(...groups.map(({ masks }) => masks.context.tokenCount)) / steps;
  }
  const percent = (fraction: number) => `${(100 * fraction).toFixed(0)}%`;
  const cut = (left: number) => percent(1 - left / drawn);
  const patches = settings.gridSize ** 2;
  const group = Math.min(settings.group ?? batchSize, batchSize);
  return (
    `a context keeps ${kept.toFixed(1)} of ${patches} patches (${percent(kept / patches)}): ` +
    `of the ${drawn.toFixed(1)} outside its targets, cutting ${group} images to their smallest takes ${cut(kept)} away` +
    (group < batchSize ? `; cutting all ${batchSize} together would take ${cut(keptOfBatch)}` : '')
  );
}

/** Settings of masks whose `minKeep` may be left to the program. */
export type MaskRequest = Omit<MaskSettings, 'minKeep'> & { minKeep: number | null };

/**
 * Completes and checks the settings of masks, so that drawing can never fail or hang.
 *
 * `minKeep` null becomes the reference's 10, or the smallest target block where that is smaller.
 * @param patch the image and patch size that gave the grid, for the message
 * @throws UserError that names the numbers and the nearest setting that works
 */
export function checkMaskSettings(request: MaskRequest, patch: ImageShape): MaskSettings {
  const { gridSize, mode } = request;
  const smallest = smallestBlock(request);
  const largestMinKeep = smallest - fewestPatches({ minKeep: 0, mode });
  const minKeep = request.minKeep ?? Math.min(REFERENCE_MIN_KEEP, Math.max(1, largestMinKeep));
  const settings = { ...request, minKeep };
  if (minKeep >= 1 && minKeep <= largestMinKeep) {
    requireFreeContext(settings);
    return settings;
  }
  const grid = `${gridSize}x${gridSize} patches`;
  const problem =
    smallest < 1
      ? `masks are impossible on a grid of ${grid} (${patch.imageSize} px images, ${patch.patchSize} px patches): ` +
        `a target or context block can come out empty`
      : `masks are impossible: every block must keep ${fewestPatches(settings)} patches (min-keep ${minKeep}, mode ` +
        `${mode}), but on a grid of ${grid} the smallest block has ${smallest}`;
  throw new UserError(problem, {
    expected: 'every block that can be drawn lies inside the grid and keeps at least min-keep patches',
    remedy: largestMinKeep >= 1 ? `use --min-keep ${largestMinKeep} or less` : gridThatWorks(settings, patch),
  });
}

/**
 * Refuses targets that cover so much of the grid that every context would have to be allowed into one: then context and
 * targets share patches, and there is nothing to predict.
 */
function requireFreeContext(settings: MaskSettings): void {
  if (leavesContext(settings)) return;
  const { targetBlocks, targetScale, minKeep } = settings;
  let fewer = targetBlocks - 1;
  while (fewer > 0 && !leavesContext({ ...settings, targetBlocks: fewer })) fewer--;
  throw new UserError(
    `masks are impossible: ${targetBlocks} targets of ${targetScale.join(' to ')} of the image leave no context of at ` +
      `least ${minKeep} patches outside them, in any of ${TRIED_IMAGES} draws`,
    {
      expected: 'targets that leave room for a context',
      remedy: `use ${fewer === 0 ? '' : `--target-blocks ${fewer}, or `}a smaller --target-scale (the paper has 0.15-0.2)`,
    },
  );
}

/** Whether at least one of some images has a context outside all its targets. */
function leavesContext(settings: MaskSettings): boolean {
  const { overlapping } = drawMasks(settings, TRIED_IMAGES, new RandomStream(0, 'check'));
  return overlapping < TRIED_IMAGES * settings.contextBlocks;
}

/** Patches of the smallest block that can be drawn; 0 where one can be empty. */
function smallestBlock({ gridSize, targetScale, targetAspect, contextScale }: MaskRequest): number {
  const ranges = [[targetScale, targetAspect] as const, [contextScale, SQUARE] as const];
  const smallest = (sizes: readonly BlockSize[]) => Math.min(...sizes.map(({ height, width }) => height * width));
  const ends = ranges.flatMap(([scale, aspect]) => [0, 1].map((u) => blockSize(gridSize, scale, aspect, u)));
  if (smallest(ends) === 0) return 0; // to count all sizes takes a while
  return smallest(ranges.flatMap(([scale, aspect]) => possibleSizes(gridSize, scale, aspect)));
}

/** The smallest change of patches or images that makes masks possible, as advice. */
function gridThatWorks(settings: MaskSettings, { imageSize, patchSize }: ImageShape): string {
  const fewest = fewestPatches({ minKeep: 1, mode: settings.mode });
  const works = (gridSize: number) => gridSize <= LARGEST_GRID && smallestBlock({ ...settings, gridSize }) >= fewest;
  let smaller = patchSize - 1;
  while (smaller >= 1 && !(imageSize % smaller === 0 && works(imageSize / smaller))) smaller--;
  let larger = settings.gridSize + 1;
  while (larger <= LARGEST_GRID && !works(larger)) larger++;
  if (larger > LARGEST_GRID) throw noGrid(settings);
  if (smaller < 1) return `use --image-size ${larger * patchSize} or more`;
  return `use --patch-size ${smaller}, or --image-size ${larger * patchSize} with these patches`;
}

function noGrid({ targetScale, targetAspect, contextScale }: MaskSettings): UserError {
  return new UserError(
    `no grid is large enough for targets that cover ${targetScale.join(' to ')} of the image, with height / ` +
      `width from ${targetAspect.join(' to ')}, and contexts that cover ${contextScale.join(' to ')}`,
    {
      expected: `blocks that are not empty on a grid of at most ${LARGEST_GRID} x ${LARGEST_GRID} patches`,
      remedy: 'use --target-scale 0.15-0.2, --target-aspect 0.75-1.5 and --context-scale 0.85-1',
    },
  );
}
