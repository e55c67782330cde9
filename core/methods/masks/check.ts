import { UserError } from '../../base/errors.js';
import { RandomStream } from '../../base/random.js';
import { LARGEST_GRID } from '../../nn/sizes.js';
import { blockSize, fewestPatches, type MaskSettings, possibleSizes } from './blocks.js';
import { drawMasks } from './multiblock.js';

/** Settings of masks whose `minKeep` may be left to the program. */
export type MaskRequest = Omit<MaskSettings, 'minKeep'> & { minKeep: number | null };

/** Images whose masks are drawn to see whether contexts are left. */
const TRIED_IMAGES = 64;
/** The reference's `min_keep`. */
const REFERENCE_MIN_KEEP = 10;

/**
 * Completes and checks the settings of masks, so that drawing can never fail or hang.
 *
 * `minKeep` null becomes the reference's 10, or the smallest target block where that is smaller.
 * @param patch the image and patch size that gave the grid, for the message
 * @throws UserError that names the numbers and the nearest setting that works
 */
export function checkMaskSettings(request: MaskRequest, patch: { imageSize: number; patchSize: number }): MaskSettings {
  const smallest = smallestBlock(request);
  const minKeep = request.minKeep ?? Math.min(REFERENCE_MIN_KEEP, Math.max(1, largestMinKeep(request)));
  const settings = { ...request, minKeep };
  if (works(settings)) {
    requireFreeContext(settings);
    return settings;
  }
  const grid = `${request.gridSize}x${request.gridSize} patches`;
  const problem =
    smallest < 1
      ? `masks are impossible on a grid of ${grid} (${patch.imageSize} px images, ${patch.patchSize} px patches): ` +
        `a target or context block can come out empty`
      : `masks are impossible: every block must keep ${fewestPatches(settings)} patches (min-keep ${minKeep}, mode ` +
        `${request.mode}), but on a grid of ${grid} the smallest block has ${smallest}`;
  throw new UserError(problem, {
    expected: 'every block that can be drawn lies inside the grid and keeps at least min-keep patches',
    remedy: nearestThatWorks(settings, patch),
  });
}

/**
 * Refuses targets that cover so much of the grid that every context would have to be allowed into one: then context and
 * targets share patches, and there is nothing to predict.
 */
function requireFreeContext(settings: MaskSettings): void {
  if (leavesContext(settings)) return;
  const { targetBlocks, targetScale, minKeep } = settings;
  const fewer = Array.from({ length: targetBlocks - 1 }, (_, at) => targetBlocks - 1 - at).find((count) =>
    leavesContext({ ...settings, targetBlocks: count }),
  );
  throw new UserError(
    `masks are impossible: ${targetBlocks} targets of ${targetScale.join(' to ')} of the image leave no context of at ` +
      `least ${minKeep} patches outside them, in any of ${TRIED_IMAGES} draws`,
    {
      expected: 'targets that leave room for a context',
      remedy: `use ${fewer === undefined ? '' : `--target-blocks ${fewer}, or `}a smaller --target-scale (the paper has 0.15-0.2)`,
    },
  );
}

/** Whether at least one of some images has a context outside all its targets. */
function leavesContext(settings: MaskSettings): boolean {
  const { overlapping } = drawMasks(settings, TRIED_IMAGES, new RandomStream(0, 'check'));
  return overlapping < TRIED_IMAGES * settings.contextBlocks;
}

/** Whether every block that can be drawn has room in the grid and enough patches. */
function works(settings: MaskSettings): boolean {
  return settings.minKeep >= 1 && fewestPatches(settings) <= smallestBlock(settings);
}

/** The largest `minKeep` that every target and context block satisfies. */
function largestMinKeep(settings: Pick<MaskSettings, 'mode'> & BlockSettings): number {
  return smallestBlock(settings) - (settings.mode === 'reference' ? 1 : 0);
}

type BlockSettings = Pick<MaskSettings, 'gridSize' | 'targetScale' | 'targetAspect' | 'contextScale'>;

/** Patches of the smallest block that can be drawn; 0 where one can be empty. */
function smallestBlock({ gridSize, targetScale, targetAspect, contextScale }: BlockSettings): number {
  const sizes = [
    ...possibleSizes(gridSize, targetScale, targetAspect),
    ...possibleSizes(gridSize, contextScale, [1, 1]),
  ];
  return Math.min(...sizes.map(({ height, width }) => height * width));
}

/** The smallest change of one setting that makes masks possible, as advice. */
function nearestThatWorks(settings: MaskSettings, patch: { imageSize: number; patchSize: number }): string {
  const largest = largestMinKeep(settings);
  if (largest >= 1) return `use --min-keep ${largest} or less`;
  const automatic = (request: BlockSettings) =>
    request.gridSize <= LARGEST_GRID && hasNoEmptyEnd(request) && largestMinKeep({ ...settings, ...request }) >= 1;
  for (let patchSize = patch.patchSize - 1; patchSize >= 1; patchSize--) {
    if (patch.imageSize % patchSize !== 0) continue;
    if (automatic({ ...settings, gridSize: patch.imageSize / patchSize })) {
      const larger = nearestGrid(settings, automatic) * patch.patchSize;
      return `use --patch-size ${patchSize}, or --image-size ${larger} with these patches`;
    }
  }
  return `use --image-size ${nearestGrid(settings, automatic) * patch.patchSize} or more`;
}

/** Whether no block is empty at the ends of the ranges: asked before all sizes are counted, which takes a while. */
function hasNoEmptyEnd({ gridSize, targetScale, targetAspect, contextScale }: BlockSettings): boolean {
  const blocks = [0, 1].flatMap((u) => [
    blockSize(gridSize, targetScale, targetAspect, u),
    blockSize(gridSize, contextScale, [1, 1], u),
  ]);
  return blocks.every(({ height, width }) => height >= 1 && width >= 1);
}

function nearestGrid(settings: MaskSettings, possible: (request: BlockSettings) => boolean): number {
  for (let gridSize = settings.gridSize + 1; gridSize <= LARGEST_GRID; gridSize++) {
    if (possible({ ...settings, gridSize })) return gridSize;
  }
  throw new UserError(
    `no grid is large enough for targets that cover ${settings.targetScale.join(' to ')} of the image, with height / ` +
      `width from ${settings.targetAspect.join(' to ')}, and contexts that cover ${settings.contextScale.join(' to ')}`,
    {
      expected: `blocks that are not empty on a grid of at most ${LARGEST_GRID} x ${LARGEST_GRID} patches`,
      remedy: 'use --target-scale 0.15-0.2, --target-aspect 0.75-1.5 and --context-scale 0.85-1',
    },
  );
}
