import { UserError } from '../base/errors.js';
import { resNetSize } from '../nn/resnet.js';
import {
  ARCHITECTURES,
  type EncoderSize,
  type ImageShape,
  LARGEST_GRID,
  RESNET_CHANNELS,
  RESNETS,
  type ResNetSize,
  type VitSize,
} from '../nn/sizes.js';
import { type LearningRateSchedule, learningRateAt, type RunLength, weightDecayAt } from '../optim/schedules.js';
import { AUTO, type Option } from './option.js';
import { OPTIONS, type Options } from './schema.js';

/** Images a step: where a run's length follows from its images (`imagesSeen`), at most as many as there are. */
export function batchSizeFor({ batchSize, imagesSeen }: Options, images: number): number {
  return imagesSeen === null ? batchSize : Math.max(2, Math.min(batchSize, images));
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

/** What common options that are left to the program come to, where options alone decide it. */
export function automaticValues(options: Options): Readonly<Record<string, number>> {
  // How long the run is, which a warm-up goes by, the images decide where imagesSeen is given.
  const goesByImages = options.imagesSeen !== null;
  const { startLearningRate, warmupEpochs } = learningRateSchedule(
    goesByImages ? { ...options, warmupEpochs: 0 } : options,
  );
  const rates = { startLearningRate, ...(!goesByImages && { warmupEpochs }) };
  if (residualSize(options)) return rates;
  const { dim, depth, heads } = encoderSize(options);
  return { dim, depth, heads, ...rates };
}

/** Learning rate and weight decay of a step, counted from 1. */
export function ratesAt(step: number, options: Options, length: RunLength) {
  return {
    learningRate: learningRateAt(step, learningRateSchedule(options), length),
    weightDecay: weightDecayAt(step, options, length),
  };
}

/**
 * The sizes of images and patches.
 * @throws UserError if patches do not divide the image, with the nearest sizes that do
 */
export function imageShape({ imageSize, patchSize }: Pick<Options, 'imageSize' | 'patchSize'>): ImageShape {
  const { max: largestImage = Number.POSITIVE_INFINITY } = OPTIONS.imageSize as Option<number>;
  const works = (image: number, patch: number) =>
    image % patch === 0 && image / patch <= LARGEST_GRID && image <= largestImage;
  if (works(imageSize, patchSize)) return { imageSize, patchSize };
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

/** Options that name the sizes of a vision transformer, where they are not left to the program. */
const VIT_SIZES = ['dim', 'depth', 'heads'] as const;

/**
 * The sizes of a residual network; null where options ask for a vision transformer.
 * @throws UserError where an option belongs to the other kind of encoder
 */
export function residualSize(options: Options): ResNetSize | null {
  const { backbone, width, selectiveKernels, recompute } = options;
  if (backbone === 'vit') {
    if (selectiveKernels) {
      throw new UserError('--selective-kernels is of residual networks, and the encoder is a vision transformer', {
        expected: '--selective-kernels with --backbone resnet50',
        remedy: 'leave it out, or name a residual network',
      });
    }
    if (width === 1) return null;
    throw new UserError(`--width ${width} is of residual networks, and the encoder is a vision transformer`, {
      expected: '--width 1, or --backbone resnet50',
      remedy: 'name sizes of a vision transformer with --dim',
    });
  }
  const given = VIT_SIZES.filter((name) => options[name] !== null);
  if (given.length > 0) {
    const [first] = given;
    throw new UserError(`--${first} ${options[first]} is of vision transformers, and the encoder is a ${backbone}`, {
      expected: '--width for the size of a residual network',
      remedy: `use ${given.map((name) => `--${name} ${AUTO}`).join(' ')}`,
    });
  }
  if (recompute) {
    throw new UserError(`--recompute is of the blocks of vision transformers, and the encoder is a ${backbone}`, {
      expected: 'no --recompute with a residual network',
      remedy: 'leave it out',
    });
  }
  const channels = 4 * Math.max(1, Math.round((RESNET_CHANNELS / 4) * width));
  return resNetSize(RESNETS[backbone], channels, selectiveKernels);
}

/**
 * The encoder's sizes with those of the images that it is given; a residual network has patches of one pixel.
 * @param imageSize side of the images; default: as the options say
 * @throws UserError where options do not fit one another
 */
export function encoderShape(options: Options, imageSize = options.imageSize): ImageShape & { encoder: EncoderSize } {
  const residual = residualSize(options);
  if (residual) return { imageSize, patchSize: 1, encoder: residual };
  return { ...imageShape({ imageSize, patchSize: options.patchSize }), encoder: encoderSize(options) };
}

/**
 * The encoder's size, from the named architecture and what overrides it.
 * @throws UserError if its width does not fit its heads, with the nearest that do
 */
export function encoderSize(options: Pick<Options, 'arch' | 'dim' | 'depth' | 'heads'>): VitSize {
  const { mlpRatio, ...usual } = ARCHITECTURES[options.arch];
  return { ...decoderSize(options, usual, '--dim'), mlpRatio };
}

/**
 * The size of a predictor or decoder, whose hidden layers have the usual ratio whatever the encoder's.
 * @param given what options say; null for what is usual
 * @param flag of its width, for messages
 * @throws UserError if its width does not fit its heads, with the nearest that do
 */
export function decoderSize(
  given: { readonly [Name in 'dim' | 'depth' | 'heads']: number | null },
  usual: Omit<VitSize, 'mlpRatio'>,
  flag: string,
): VitSize {
  const [dim, heads] = [given.dim ?? usual.dim, given.heads ?? usual.heads];
  const unit = [1, 2, 4].map((factor) => factor * heads).find((width) => width % 4 === 0) as number;
  if (dim % unit === 0) return { dim, depth: given.depth ?? usual.depth, heads, mlpRatio: 4 };
  const lower = Math.floor(dim / unit) * unit;
  throw new UserError(`${flag} ${dim} does not fit ${heads} heads`, {
    expected: 'a width that is a multiple of 4 (positions have four parts) and of the number of heads',
    remedy: `use ${flag} ${lower > 0 ? `${lower} or ` : ''}${lower + unit}`,
  });
}
