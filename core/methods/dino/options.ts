import { UserError } from '../../base/errors.js';
import { choice, grouped, integer, interval, number } from '../../config/option.js';
import type { Options, Preset } from '../../config/schema.js';
import { encoderShape } from '../../config/settings.js';
import type { HeadSize } from '../../nn/projection-head.js';
import { linear } from '../../optim/schedules.js';
import type { OwnOptions, Rate, ViewSpec } from '../method.js';
import { asymmetricViews, CPU_SMALL, emaOptions, SATURATION } from '../shared.js';

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
export type Own = Options & OwnOptions<typeof OPTIONS>;

/** What the paper's runs of ViT-S/16 share (appendix; official code, README.md): a base rate of 5e-4 for 256 images. */
const PAPER: Preset['options'] = { arch: 'vit-small', imageSize: 224, warmupEpochs: 10 };

export const PRESETS: Readonly<Record<string, Preset>> = {
  'paper-dino-vits16': {
    summary: "DINO's ViT-S/16, 100 epochs of ImageNet-1K, the official code's first command",
    options: { ...PAPER, batchSize: 512, epochs: 100, learningRate: 1e-3 },
  },
  'paper-dino-vits16-ep300': {
    summary: "DINO's ViT-S/16, 300 epochs of ImageNet-1K, the official code's improved command",
    options: {
      ...PAPER,
      batchSize: 1024,
      epochs: 300,
      learningRate: 2e-3,
      teacherTemperature: 0.07,
      teacherWarmupEpochs: 30,
      lastLayerLengths: 'learned',
    },
  },
  'cpu-small-dino': {
    summary: 'DINO at the sizes of cpu-small',
    options: {
      ...CPU_SMALL,
      cropScale: [0.4, 1],
      localCrops: 4,
      headDim: 256,
      bottleneckDim: 64,
      outputDim: 1024,
      ema: 0.99,
      blur: 0, // up to 2 pixels wide, it would leave little of small crops
      beta2: 0.95, // the large gradients of the first steps are forgotten sooner
      finalWeightDecay: 0.04,
    },
  },
};

/** Two large crops and the small ones, changed as in the official code; `blur` is the probability of the first one's. */
export function viewsOf(options: Own): ViewSpec[] {
  const { localCrops: count, localScale: cropScale, blur } = options;
  const small = { imageSize: localSize(options), cropScale, saturation: SATURATION, blur: 0.5 * blur };
  return [...asymmetricViews(blur), ...(count > 0 ? [{ name: 'local', count, crop: small }] : [])];
}

/** Linear from the first epoch's temperature to the last one of the warm-up; the same in all steps of an epoch. */
export function teacherTemperature({
  startTeacherTemperature,
  teacherTemperature: final,
  teacherWarmupEpochs,
}: Own): Rate {
  return (step, { stepsPerEpoch }) => {
    const epoch = Math.floor((step - 1) / stepsPerEpoch);
    if (epoch >= teacherWarmupEpochs) return final;
    return linear(startTeacherTemperature, final, epoch / Math.max(1, teacherWarmupEpochs - 1));
  };
}

/** Sizes of the head. */
export function sizeOfHead(options: Own): HeadSize {
  const { headDim: hidden, bottleneckDim: bottleneck, outputDim: outputs } = options;
  const learnsLengths = options.lastLayerLengths === 'learned';
  return { inputs: encoderShape(options).encoder.dim, hidden, bottleneck, outputs, learnsLengths };
}

/** Side of the small crops, in pixels. */
export function localSize(options: Options & Pick<Own, 'localImageSize'>): number {
  const { localImageSize } = options;
  const { imageSize, patchSize } = encoderShape(options);
  const usual = patchSize * Math.max(1, Math.round(((96 / 224) * imageSize) / patchSize));
  if ((localImageSize ?? usual) % patchSize === 0) return localImageSize ?? usual;
  throw new UserError(`small crops of ${localImageSize} pixels cannot be cut into patches of ${patchSize} pixels`, {
    expected: 'a multiple of the patch size',
    remedy: `use --local-image-size ${usual}`,
  });
}
