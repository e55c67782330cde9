import { choice, integer, interval } from '../../config/option.js';
import type { Options } from '../../config/schema.js';
import type { OwnOptions } from '../method.js';
import { MASK_MODES, type MaskSettings } from './blocks.js';
import { checkMaskSettings } from './check.js';
import { describeCut } from './coverage.js';

const group = 'Masks';

/** Options of multi-block masks (I-JEPA, section 3). */
export const MULTIBLOCK_OPTIONS = {
  targetBlocks: integer({ group, default: 4, min: 1, max: 64, help: 'target blocks an image' }),
  targetScale: interval({
    group,
    default: [0.15, 0.2],
    min: 0,
    max: 1,
    open: true,
    help: 'fraction of the image that a target block covers',
  }),
  targetAspect: interval({ group, default: [0.75, 1.5], min: 0, open: true, help: 'height / width of a target block' }),
  contextBlocks: integer({ group, default: 1, min: 1, max: 16, help: 'context blocks an image' }),
  contextScale: interval({
    group,
    default: [0.85, 1],
    min: 0,
    max: 1,
    open: true,
    help: 'fraction of the image that a context block covers, before targets are taken out',
  }),
  minKeep: integer({
    group,
    min: 1,
    unit: 'patches',
    help: 'patches that every block must keep',
    automatic: '10, or the smallest block where that is smaller',
  }),
  maskMode: choice({
    group,
    default: 'inclusive',
    choices: MASK_MODES,
    help: 'how blocks are placed and cut: evenly over the grid, or as in the reference code, whose blocks never reach the last row and column and whose contexts lose the bottom first',
  }),
  maskGroup: integer({
    group,
    min: 1,
    unit: 'images',
    help: 'images of a batch that are cut together to the smallest of their contexts, as those on one GPU of the reference code are; the more, the more is cut away',
    automatic: 'the whole batch',
  }),
};
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
