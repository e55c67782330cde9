import type { RandomStream } from '../../base/random.js';
import { grouped, integer, number } from '../../config/option.js';
import type { ImageShape } from '../../nn/sizes.js';
import type { OwnOptions } from '../method.js';
import { drawBlockwiseMask } from './blocks.js';

/**
 * Options of blockwise masks (BEiT, Bao et al. 2022).
 * @param maskRatio the default
 * @param how what `maskRatio` is the fraction of, for people
 */
export function blockwiseOptions(maskRatio: number, how: string) {
  return grouped('Masks', {
    maskRatio: number({ default: maskRatio, min: 0, below: 1, open: true, help: how }),
    minBlockPatches: integer({
      min: 1,
      unit: 'patches',
      help: 'patches that a block is meant to have',
      automatic: "the paper's 16 of 196, on other grids the same fraction",
    }),
  });
}
export type BlockwiseOptions = OwnOptions<ReturnType<typeof blockwiseOptions>>;

/** What `drawBlockwiseMask` wants to know. */
export function blockwiseSettings({ imageSize, patchSize, maskRatio, minBlockPatches }: ImageShape & BlockwiseOptions) {
  const gridSize = imageSize / patchSize;
  const patches = gridSize * gridSize;
  return {
    gridSize,
    maskedPatches: Math.max(1, Math.round(maskRatio * patches)),
    minBlockPatches: minBlockPatches ?? Math.max(1, Math.round((16 / 196) * patches)),
  };
}

/** Blocks that may be drawn in vain, one after the other, before the rest is masked patch by patch. */
const ATTEMPTS = 1000;

/**
 * Patches of an image, those that are masked block by block and the others, in ascending order. As many are masked of every
 * image: blocks are drawn until they are, as in CAE's official code; where none fits for long, random patches are taken.
 */
export function drawBlockwisePatches(settings: ReturnType<typeof blockwiseSettings>, stream: RandomStream) {
  const mask = drawBlockwiseMask({ ...settings, attempts: ATTEMPTS }, stream);
  const patchesOf = (value: number) => [...mask.keys()].filter((patch) => mask[patch] === value);
  const [masked, visible] = [patchesOf(1), patchesOf(0)];
  while (masked.length < settings.maskedPatches) {
    masked.push(...visible.splice(stream.integer(0, visible.length - 1), 1));
  }
  return { masked: masked.sort((a, b) => a - b), visible };
}
