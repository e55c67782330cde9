import type { CropSettings } from '../data/crop.js';
import { UserError } from '../errors.js';
import type { MaskSettings } from '../masking/blocks.js';
import { checkMaskSettings } from '../masking/check.js';
import { ARCHITECTURES, gridSize, type ModelSize } from '../model/sizes.js';
import type { RunLength } from '../train/schedules.js';
import { learningRateAt, momentumAt, weightDecayAt } from '../train/schedules.js';
import type { Objective, StepRates } from '../train/step.js';
import type { Options } from './schema.js';

/**
 * The shapes of a model, from the named architecture and what overrides it.
 * @throws UserError if sizes do not fit one another, with the nearest ones that do
 */
export function modelSize(options: Options): ModelSize {
  const { imageSize, patchSize } = options;
  if (imageSize % patchSize !== 0) {
    const lower = Math.floor(imageSize / patchSize) * patchSize;
    const divisors = Array.from({ length: imageSize }, (_, i) => i + 1).filter((size) => imageSize % size === 0);
    const nearest = divisors.reduce((best, size) =>
      Math.abs(size - patchSize) < Math.abs(best - patchSize) ? size : best,
    );
    throw new UserError(`an image of ${imageSize} pixels cannot be cut into patches of ${patchSize} pixels`, {
      expected: 'a patch size that divides the image size',
      remedy: `use --image-size ${lower || patchSize} or ${lower + patchSize}, or --patch-size ${nearest}`,
    });
  }
  const named = ARCHITECTURES[options.arch];
  const heads = options.heads ?? named.heads;
  const encoder = {
    dim: options.dim ?? named.dim,
    depth: options.depth ?? named.depth,
    heads,
    mlpRatio: named.mlpRatio,
  };
  const predictor = {
    dim: options.predictorDim ?? named.predictorDim,
    depth: options.predictorDepth ?? named.predictorDepth,
    heads,
    mlpRatio: named.mlpRatio,
  };
  checkWidth('--dim', encoder.dim, heads);
  checkWidth('--predictor-dim', predictor.dim, heads);
  return { imageSize, patchSize, encoder, predictor };
}

/** The settings of masks, complete and checked. */
export function maskSettings(options: Options): MaskSettings {
  const { targets, targetScale, targetAspect, contexts, contextScale, minKeep, maskMode: mode } = options;
  const wishes = { targets, targetScale, targetAspect, contexts, contextScale, minKeep, mode };
  return checkMaskSettings({ ...wishes, gridSize: gridSize(options) }, options);
}

export function cropSettings(options: Options): CropSettings {
  const { imageSize, cropScale, cropAspect, flip, jitter, blur, maxMegapixels } = options;
  return { imageSize, cropScale, cropAspect, flip, jitter, blur, pixelLimit: Math.floor(maxMegapixels * 1e6) };
}

export function objectiveOf(options: Options): Objective {
  const { loss, regularizer, regularizerWeight, batchSize } = options;
  return {
    loss,
    regularizer,
    regularizerWeight,
    microBatchSize: Math.min(options.microBatchSize ?? batchSize, batchSize),
  };
}

/** The scheduled values of a step, counted from 1. */
export function ratesAt(step: number, options: Options, length: RunLength): StepRates {
  const warmupEpochs = options.warmupEpochs ?? options.epochs / 10;
  return {
    learningRate: learningRateAt(step, { ...options, warmupEpochs }, length),
    weightDecay: weightDecayAt(step, options.weightDecay, options.finalWeightDecay, length),
    momentum: momentumAt(step, options.ema, options.finalEma, length),
  };
}

function checkWidth(flag: string, dim: number, heads: number): void {
  const unit = leastCommonMultiple(4, heads);
  if (dim % unit === 0) return;
  const lower = Math.floor(dim / unit) * unit;
  throw new UserError(`${flag} ${dim} does not fit ${heads} heads`, {
    expected: 'a width that is a multiple of 4 (positions have four parts) and of the number of heads',
    remedy: `use ${flag} ${lower > 0 ? `${lower} or ` : ''}${lower + unit}`,
  });
}

function leastCommonMultiple(a: number, b: number): number {
  const divisor = (x: number, y: number): number => (y === 0 ? x : divisor(y, x % y));
  return (a * b) / divisor(a, b);
}
