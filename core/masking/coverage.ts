import { RandomStream } from '../random.js';
import type { MaskSettings } from './blocks.js';
import { type BatchMasks, drawMasks } from './multiblock.js';

/** The masks of a training step, counted from 1: what training used, or will use. */
export function masksOfStep(settings: MaskSettings, batchSize: number, seed: number, step: number): BatchMasks {
  return drawMasks(settings, batchSize, new RandomStream(seed, 'masks', step));
}

/** How often each patch of the grid was seen or predicted, as parts of the images counted. */
export interface Coverage {
  images: number;
  /** Part of the images whose context held the patch, row by row. */
  context: Float64Array;
  /** Mean number of target blocks an image that held it. */
  targets: Float64Array;
}

/** Counts over the first `images` images of training, batch by batch from step 1. */
export function measureCoverage(settings: MaskSettings, batchSize: number, seed: number, images: number): Coverage {
  const patches = settings.gridSize ** 2;
  const context = new Float64Array(patches);
  const targets = new Float64Array(patches);
  let counted = 0;
  for (let step = 1; counted < images; step++) {
    const masks = masksOfStep(settings, batchSize, seed, step);
    for (const patch of masks.context.indices) context[patch] = (context[patch] as number) + 1 / settings.contexts;
    for (const patch of masks.targets.indices) targets[patch] = (targets[patch] as number) + 1;
    counted += batchSize;
  }
  return { images: counted, context: context.map((n) => n / counted), targets: targets.map((n) => n / counted) };
}
