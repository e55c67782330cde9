import { RandomStream } from '../../base/random.js';
import type { MaskSettings } from './blocks.js';
import { type BatchMasks, drawMasks, meanPatches } from './multiblock.js';

/** Every step draws sizes of its own: over fewer of them, numbers of patches tell little. */
const FEWEST_STEPS = 8;

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
  /** Mean number of patches of a context block: as drawn, as its group's cut leaves it, as one cut of all would. */
  contextPatches: { drawn: number; kept: number; keptOfBatch: number };
}

/** Counts over at least the first `images` images of training, batch by batch from step 1. */
export function measureCoverage(settings: MaskSettings, batchSize: number, seed: number, images: number): Coverage {
  const patches = settings.gridSize ** 2;
  const context = new Float64Array(patches);
  const targets = new Float64Array(patches);
  const steps = Math.max(FEWEST_STEPS, Math.ceil(images / batchSize));
  const contextPatches = { drawn: 0, kept: 0, keptOfBatch: 0 };
  for (let step = 1; step <= steps; step++) {
    const { groups, drawnPatches } = masksOfStep(settings, batchSize, seed, step);
    for (const group of groups) {
      for (const patch of group.context.indices) context[patch] = (context[patch] as number) + 1 / settings.contexts;
      for (const patch of group.targets.indices) targets[patch] = (targets[patch] as number) + 1;
    }
    contextPatches.drawn += drawnPatches / steps;
    contextPatches.kept += meanPatches(groups, 'context') / steps;
    contextPatches.keptOfBatch += Math.min(...groups.map((group) => group.context.tokens)) / steps;
  }
  const counted = steps * batchSize;
  return {
    images: counted,
    context: context.map((n) => n / counted),
    targets: targets.map((n) => n / counted),
    contextPatches,
  };
}
