import { UserError } from '../../base/errors.js';
import { choice, grouped, integer, interval, number } from '../../config/option.js';
import type { Options, Preset } from '../../config/schema.js';
import { encoderShape } from '../../config/settings.js';
import type { HeadSize } from '../../nn/projection-head.js';
import { linear } from '../../optim/schedules.js';
import type { OwnOptions, Rate, ViewSpec } from '../method.js';
import { asymmetricViews, emaOptions, SATURATION } from '../shared.js';

/** Options of methods whose student is to give the probabilities of its teacher; defaults are DINO's. */
export const OPTIONS = {
  ...grouped('Data', {
    localCrops: integer({ default: 8, min: 0, help: 'small crops of each image, which the student alone sees' }),
    localImageSize: integer({
      min: 1,
      unit: 'pixels',
      help: 'side of the small crops; a multiple of the patch size',
      automatic: "the paper's 96 of 224 pixels, the same fraction of others, in whole patches",
    }),
    localScale: interval({
      default: [0.05, 0.4],
      min: 0,
      max: 1,
      open: true,
      help: "part of the picture's area that a small crop covers",
    }),
  }),
  ...grouped('Model', {
    headDim: integer({ default: 2048, min: 1, help: 'width of the hidden layers of the head' }),
    bottleneckDim: integer({ default: 256, min: 1, help: 'width of what the last layer of the head sees' }),
    outputDim: integer({ default: 65536, min: 2, help: 'outputs of the head, over which probabilities are taken' }),
    lastLayerLengths: choice({
      default: 'fixed',
      choices: ['fixed', 'learned'],
      help: "whether the rows of the head's last layer keep the length 1, which is safer, or learn it",
    }),
    dropPath: number({
      default: 0.1,
      min: 0,
      below: 1,
      help: "probability that a branch of the student's last block is dropped for a crop; linearly less in earlier blocks",
    }),
  }),
  ...grouped('Objective', {
    studentTemperature: number({ default: 0.1, min: 0, open: true, help: "temperature of the student's outputs" }),
    startTeacherTemperature: number({
      default: 0.04,
      min: 0,
      open: true,
      help: "temperature of the teacher's outputs in the first epoch",
    }),
    teacherTemperature: number({ default: 0.04, min: 0, open: true, help: 'the same after its warm-up' }),
    teacherWarmupEpochs: integer({ default: 0, min: 0, unit: 'epochs', help: 'length of that warm-up, linear' }),
    centreMomentum: number({
      default: 0.9,
      min: 0,
      max: 1,
      help: "decay of the mean of the teacher's outputs, which is taken from them",
    }),
  }),
  ...grouped('Optimisation', {
    lastLayerFrozenEpochs: number({
      default: 1,
      min: 0,
      unit: 'epochs',
      help: "how long the head's last layer stays as it is at the start",
    }),
  }),
  ...emaOptions(0.996, 1, 'by half a cosine'),
};
export type SelfDistillationOptions = Options & OwnOptions<typeof OPTIONS>;

/** Defaults of common options that the official codes share. */
export const DEFAULTS: Partial<Options> = {
  cropScale: [0.4, 1],
  flip: 0.5,
  jitter: 0.5,
  blur: 1,
  startLearningRate: 0,
  clipGradient: 3,
};

/** What is smaller, beside the sizes of `CPU_SMALL`, where a few thousand pictures are learned from. */
export const SMALL: Preset['options'] = {
  cropScale: [0.4, 1],
  localCrops: 4,
  localScale: [0.05, 0.4],
  headDim: 256,
  bottleneckDim: 64,
  outputDim: 1024,
  ema: 0.99,
  blur: 0, // up to 2 pixels wide, it would leave little of small crops
  beta2: 0.95, // the large gradients of the first steps are forgotten sooner
  finalWeightDecay: 0.04,
};

/** Two large crops and the small ones, changed as in the official code; `blur` is the probability of the first one's. */
export function viewsOf(options: SelfDistillationOptions): ViewSpec[] {
  const { localCrops: count, localScale: cropScale, blur } = options;
  const small = { imageSize: localSize(options), cropScale, saturation: SATURATION, blur: 0.5 * blur };
  return [...asymmetricViews(blur), ...(count > 0 ? [{ name: 'local', count, crop: small }] : [])];
}

/**
 * A temperature of the teacher: linear from the first epoch's to the last one's of the warm-up; the same in all steps of an
 * epoch.
 * @param firstEpoch epochs before the warm-up
 */
export function warmedUp(start: number, final: number, warmupEpochs: number, firstEpoch = 0): Rate {
  return (step, { stepsPerEpoch }) => {
    const epoch = Math.max(0, Math.floor((step - 1) / stepsPerEpoch) - firstEpoch);
    if (epoch >= warmupEpochs) return final;
    return linear(start, final, epoch / Math.max(1, warmupEpochs - 1));
  };
}

/** Sizes of the head. */
export function sizeOfHead(options: SelfDistillationOptions): HeadSize {
  const { headDim: hidden, bottleneckDim: bottleneck, outputDim: outputs } = options;
  const learnsLengths = options.lastLayerLengths === 'learned';
  return { inputs: encoderShape(options).encoder.dim, hidden, bottleneck, outputs, learnsLengths };
}

/** Side of the small crops, in pixels. */
export function localSize(options: Options & Pick<SelfDistillationOptions, 'localImageSize'>): number {
  const { localImageSize } = options;
  const { imageSize, patchSize } = encoderShape(options);
  const usual = patchSize * Math.max(1, Math.round(((96 / 224) * imageSize) / patchSize));
  if ((localImageSize ?? usual) % patchSize === 0) return localImageSize ?? usual;
  throw new UserError(`small crops of ${localImageSize} pixels cannot be cut into patches of ${patchSize} pixels`, {
    expected: 'a multiple of the patch size',
    remedy: `use --local-image-size ${usual}`,
  });
}
