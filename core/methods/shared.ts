import { grouped, number } from '../config/option.js';
import { normalise } from '../engine/functions.js';
import { type Tensor, tf } from '../engine/tf.js';
import { linear, type Schedule } from '../optim/schedules.js';
import type { LogColumn, OwnOptions, Rate, Role, ViewSpec } from './method.js';

/** Data and encoder of the presets that learn from a few thousand pictures on a CPU within hours. */
export const CPU_SMALL = {
  imageSize: 64,
  patchSize: 8,
  cropScale: [0.6, 1],
  dim: 128,
  depth: 6,
  heads: 4,
  batchSize: 64,
  epochs: 100,
} as const;

/** AdamW at those sizes, for methods whose papers have LARS: in short runs of a small transformer that collapses. */
export const SMALL_ADAMW = {
  optimiser: 'adamw',
  learningRate: 1e-3,
  weightDecay: 0.04,
  finalWeightDecay: 0.04,
} as const;

/** What the published runs of SimCLR and BYOL share beside their defaults: batches, and a warm-up of 10 epochs. */
export const RESNET_RUNS = { backbone: 'resnet50', batchSize: 4096, warmupEpochs: 10 } as const;

/** How strongly BYOL, DINO and LeJEPA jitter saturation, in units of brightness and contrast: 0.2 and 0.4. */
export const SATURATION = 0.5;

/**
 * The two crops of each image as BYOL changes them (Grill et al. 2020, appendix B, table 6), and DINO its large ones: the
 * first is always blurred; the second seldom, and sometimes solarized.
 * @param blur probability of a blur of the first
 */
export function asymmetricViews(blur: number): ViewSpec[] {
  return [
    { name: 'first', count: 1, crop: { saturation: SATURATION, blur } },
    { name: 'second', count: 1, crop: { saturation: SATURATION, blur: 0.1 * blur, solarize: 0.2 } },
  ];
}

/** Added to variances where targets are normalised over their features. */
export const TARGET_EPSILON = 1e-5;

/** Added to the variance of a patch's pixels. */
const PIXEL_EPSILON = 1e-6;

/**
 * (x - mean) / √(variance + ε) over a patch's n values, with the unbiased variance of MAE's official code (n - 1).
 * @param pixels [B, J, n]
 */
export function normalisedPatches(pixels: Tensor): Tensor {
  const n = pixels.shape[2] as number;
  const biased = (n - 1) / n;
  return normalise(pixels, PIXEL_EPSILON * biased).mul(Math.sqrt(biased));
}

/** Options of a moving average whose decay rises. @param how for people */
export function emaOptions(start: number, end: number, how = 'linearly') {
  return grouped('Optimisation', {
    ema: number({ default: start, min: 0, max: 1, help: "decay of the moving average's weights at the start" }),
    finalEma: number({ default: end, min: 0, max: 1, help: `the same at the end, reached ${how}` }),
  });
}
export type EmaOptions = OwnOptions<ReturnType<typeof emaOptions>>;

/** The role of a moving average of another network. @param decay the rate that is its decay */
export function averageOf(of: string, decay = 'emaDecay'): Role {
  return { by: 'ema', of, decay };
}

/** Decay of the moving average: from `ema`, which step 1 has, towards `finalEma` where the schedules end. */
export function emaDecay({ ema, finalEma }: EmaOptions, schedule: Schedule = linear): Rate {
  return (step, { stepsPerEpoch, epochs, scheduleStretch }) =>
    schedule(ema, finalEma, (step - 1) / (stepsPerEpoch * epochs * scheduleStretch));
}

/**
 * Mean over features of the standard deviation, over the batch's images, of each image's average target: it goes towards 0
 * where targets collapse.
 * @param average each image's average target, [b, D]
 */
export function targetStd<Outputs, Targets>(average: LogColumn<Outputs, Targets>['rows']): LogColumn<Outputs, Targets> {
  return {
    name: 'targetStd',
    rows: average,
    compute: (rows: Tensor) => tf.moments(rows, 0).variance.sqrt().mean(),
  };
}

/** -Σ p log p in nats, of probabilities [..., K]: [...], from 0, where one has all, to log K, where all have the same. */
export function entropy(probabilities: Tensor): Tensor {
  return probabilities.mul(probabilities.add(1e-30).log()).sum(-1).neg();
}
