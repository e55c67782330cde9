import { UserError } from '../base/errors.js';
import type { CropSettings } from '../data/crop.js';
import { LARGEST_GRID, type MaskSettings } from '../methods/masks/blocks.js';
import { checkMaskSettings } from '../methods/masks/check.js';
import { ARCHITECTURES, gridSize, type ModelSize } from '../nn/sizes.js';
import {
  type LearningRateSchedule,
  learningRateAt,
  momentumAt,
  type RunLength,
  weightDecayAt,
} from '../optim/schedules.js';
import type { Objective } from '../train/objective.js';
import type { StepRates } from '../train/step.js';
import type { Terms } from '../train/terms.js';
import { AUTO, type Option } from './option.js';
import { OPTIONS, type OptionName, type Options } from './schema.js';

/** The reference code's predictor has the usual ratio, whatever the encoder's. */
const PREDICTOR_MLP_RATIO = 4;

/**
 * The shapes of a model, from the named architecture and what overrides it.
 * @throws UserError if sizes do not fit one another, with the nearest ones that do
 */
export function modelSize(options: Options): ModelSize {
  const { imageSize, patchSize } = options;
  checkGrid(imageSize, patchSize);
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
    mlpRatio: PREDICTOR_MLP_RATIO,
  };
  checkWidth('--dim', encoder.dim, heads);
  checkWidth('--predictor-dim', predictor.dim, heads);
  return { imageSize, patchSize, encoder, predictor };
}

/** The settings of masks, complete and checked. */
export function maskSettings(options: Options): MaskSettings {
  const { targets, targetScale, targetAspect, contexts, contextScale, minKeep } = options;
  const { maskMode: mode, maskGroup: group } = options;
  const wishes = { targets, targetScale, targetAspect, contexts, contextScale, minKeep, mode, group };
  return checkMaskSettings({ ...wishes, gridSize: gridSize(options) }, options);
}

export function cropSettings(options: Options): CropSettings {
  const { imageSize, cropScale, cropAspect, flip, jitter, blur, maxMegapixels } = options;
  return { imageSize, cropScale, cropAspect, flip, jitter, blur, pixelLimit: Math.floor(maxMegapixels * 1e6) };
}

/** What a run is trained for; a regularizer that weighs nothing is none. */
export function objectiveOf(options: Options, { loss, regularizer }: Terms): Objective {
  const { regularizerWeight, seed } = options;
  return {
    loss,
    regularizer: regularizerWeight > 0 ? regularizer : null,
    regularizerWeight,
    seed,
    microBatchSize: microBatchSizeOf(options),
  };
}

/** Images that are computed at once. */
export function microBatchSizeOf({ microBatchSize, batchSize }: Options): number {
  return Math.min(microBatchSize ?? batchSize, batchSize);
}

/**
 * The learning rate's schedule, complete and checked.
 * @throws UserError if the warm-up is longer than the run, or does not lead upwards
 */
export function learningRateSchedule(options: Options): LearningRateSchedule {
  const { epochs, learningRate, finalLearningRate } = options;
  const warmupEpochs = options.warmupEpochs ?? epochs / 10;
  const startLearningRate = options.startLearningRate ?? learningRate / 5;
  if (warmupEpochs > epochs) {
    throw new UserError(`a warm-up of ${warmupEpochs} epochs does not fit into a run of ${epochs}`, {
      expected: 'a warm-up that ends before the run does',
      remedy: 'use --warmup-epochs auto, a tenth of the epochs',
    });
  }
  for (const [flag, rate] of [
    ['--start-learning-rate', startLearningRate],
    ['--final-learning-rate', finalLearningRate],
  ] as const) {
    if (rate <= learningRate) continue;
    throw new UserError(`${flag} ${rate} is more than the largest learning rate, ${learningRate}`, {
      expected: `at most --learning-rate (${learningRate})`,
      remedy: `use ${flag} ${flag.startsWith('--start') ? AUTO : learningRate / 1000}`,
    });
  }
  return { startLearningRate, learningRate, finalLearningRate, warmupEpochs };
}

/** What the options that are left to the program come to, where options alone decide it. */
export function automaticValues(options: Options): Partial<Record<OptionName, number>> {
  const { encoder, predictor } = modelSize(options);
  const { startLearningRate, warmupEpochs } = learningRateSchedule(options);
  return {
    dim: encoder.dim,
    depth: encoder.depth,
    heads: encoder.heads,
    predictorDim: predictor.dim,
    predictorDepth: predictor.depth,
    minKeep: maskSettings(options).minKeep,
    startLearningRate,
    warmupEpochs,
  };
}

/** The scheduled values of a step, counted from 1. */
export function ratesAt(step: number, options: Options, length: RunLength): StepRates {
  return {
    learningRate: learningRateAt(step, learningRateSchedule(options), length),
    weightDecay: weightDecayAt(step, options, length),
    momentum: momentumAt(step, options.ema, options.finalEma, length),
  };
}

function checkGrid(imageSize: number, patchSize: number): void {
  const { max: largestImage = Number.POSITIVE_INFINITY } = OPTIONS.imageSize as Option<number>;
  const works = (image: number, patch: number) =>
    image % patch === 0 && image / patch <= LARGEST_GRID && image <= largestImage;
  if (works(imageSize, patchSize)) return;
  const nearest = (wanted: number, allowed: (size: number) => boolean) =>
    Array.from({ length: largestImage }, (_, at) => at + 1)
      .filter(allowed)
      .sort((a, b) => Math.abs(a - wanted) - Math.abs(b - wanted))[0];
  const image = nearest(imageSize, (size) => works(size, patchSize));
  const patch = nearest(patchSize, (size) => works(imageSize, size));
  throw new UserError(`an image of ${imageSize} pixels cannot be cut into patches of ${patchSize} pixels`, {
    expected: `a patch size that divides the image size, and at most ${LARGEST_GRID} x ${LARGEST_GRID} patches`,
    remedy: `use ${image === undefined ? '' : `--image-size ${image}, or `}--patch-size ${patch}`,
  });
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
