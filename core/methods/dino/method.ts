import { UserError } from '../../base/errors.js';
import { choice, grouped, integer, interval, number } from '../../config/option.js';
import type { Options, Preset } from '../../config/schema.js';
import { encoderSize } from '../../config/settings.js';
import { type Tensor, tf } from '../../engine/tf.js';
import { type Backbone, createVit } from '../../nn/backbone.js';
import { encoderPass } from '../../nn/cost.js';
import type { Parameters } from '../../nn/parameters.js';
import { classTokens } from '../../nn/vit.js';
import { cosine, linear } from '../../optim/schedules.js';
import { defineMethod, type Method, type NetworkSpec, type OwnOptions, type Rate } from '../method.js';
import { CPU_SMALL, emaDecay, emaOptions } from '../shared.js';
import { applyHead, firstValue, type HeadSize, headProjections, lastLayerShapes, mlpShapes } from './head.js';

const OPTIONS = {
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
type Own = Options & OwnOptions<typeof OPTIONS>;

/** What the paper's runs of ViT-S/16 share (appendix; official code, README.md): a base rate of 5e-4 for 256 images. */
const PAPER: Preset['options'] = { arch: 'vit-small', imageSize: 224, warmupEpochs: 10 };

export default defineMethod({
  name: 'dino',
  title: 'DINO',
  summary: 'gives what its teacher makes of other crops of the image (Caron et al. 2021)',
  options: OPTIONS,
  defaults: { cropScale: [0.4, 1], flip: 0.5, jitter: 0.5, startLearningRate: 0 },
  presets: {
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
        finalWeightDecay: 0.04,
      },
    },
  },
  architecture: () => ({ classToken: true, classFeatures: true }),
  create: (options, { backbone }) => dino(backbone, options),
  automatic: (options) => ({ localImageSize: localSize(options) }),
  describe: ({ outputDim, localCrops, teacherTemperature }) =>
    `cross-entropy of ${outputDim} outputs, teacher centred and sharpened by ${teacherTemperature}, ` +
    `2 crops and ${localCrops} small ones`,
  passes(options) {
    const { imageSize, patchSize, localCrops } = options;
    const size = { ...encoderSize(options), classToken: true };
    const [patches, local] = [(imageSize / patchSize) ** 2, (localSize(options) / patchSize) ** 2];
    const head = sizeOfHead(options);
    const student = encoderPass(size, patchSize, { rows: 2, patches, trained: true });
    const teacher = encoderPass(size, patchSize, { rows: 2, patches, trained: false });
    return [
      { ...teacher, projections: [...teacher.projections, ...headProjections(head, 2)] },
      { ...student, projections: [...student.projections, ...headProjections(head, 2 + localCrops)] },
      ...(localCrops > 0 ? [encoderPass(size, patchSize, { rows: localCrops, patches: local, trained: true })] : []),
    ];
  },
});

/** Of each image, [B, K]: log p of the student's view of either large crop, and the sum over all of its crops. */
type Outputs = { first: Tensor; second: Tensor; all: Tensor };
/** Of each image, [B, K]: the teacher's probabilities of the large crops, and the mean of its outputs for them. */
type Targets = { first: Tensor; second: Tensor; raw: Tensor };

/**
 * DINO (Caron et al. 2021, section 3): a student that sees a crop of an image gives the probabilities that its teacher, a
 * moving average of it, has for another; the teacher sees large crops alone. Its outputs are centred and sharpened, which
 * keeps both from giving the same for all images.
 *
 * Small crops get the positions of a large one's grid, interpolated, as in the official code; here they are fixed.
 * Letters: B images, C crops of each, D width, K outputs.
 */
export function dino(backbone: Backbone, options: Own): Method<Outputs, Targets> {
  const { encoder, shapes, patchSize, imageSize } = backbone;
  const { localCrops, localScale, studentTemperature, centreMomentum, outputDim, lastLayerFrozenEpochs } = options;
  const localImageSize = localSize(options);
  const local = createVit({ imageSize: localImageSize, patchSize, encoder, trainedImageSize: imageSize });
  const crops = 2 + localCrops;
  const size = sizeOfHead(options);
  const init: NetworkSpec['init'] = (name, shape, stream) => firstValue(name, shape, stream, 3 * patchSize ** 2);
  const [mlp, lastLayer] = [mlpShapes(size), lastLayerShapes(size)];
  const followed = (of: string) => ({ by: 'ema', of, decay: 'emaDecay' }) as const;

  /** Class tokens of the large crops: the first ones of all images, then the second ones, [2B, D]. */
  const classesOfLarge = (parameters: Parameters, { first, second }: Readonly<Record<string, Tensor>>) =>
    classTokens(backbone.forward(parameters, tf.concat([first, second])));

  return {
    networks: {
      encoder: { shapes, role: { by: 'gradient' }, init },
      head: { shapes: mlp, role: { by: 'gradient' }, init },
      last_layer: { shapes: lastLayer, role: { by: 'gradient', steps: 'lastLayerSteps' }, init },
      teacher: { shapes, role: followed('encoder') },
      teacher_head: { shapes: mlp, role: followed('head') },
      teacher_last_layer: { shapes: lastLayer, role: followed('last_layer') },
    },
    views: [
      { name: 'first', count: 1, crop: { blur: 1 } },
      { name: 'second', count: 1, crop: { blur: 0.1, solarize: 0.2 } },
      ...(localCrops > 0
        ? [
            {
              name: 'local',
              count: localCrops,
              crop: { imageSize: localImageSize, cropScale: localScale, blur: 0.5 },
            },
          ]
        : []),
    ],
    encoders: { teacher: 'teacher', student: 'encoder' },
    sizes: { encoder },
    masks: {},
    targets: (networks, { views, state, rates }) =>
      tf.tidy(() => {
        const classes = classesOfLarge(networks.teacher, views); // [2B, D]
        const raw = applyHead(networks.teacher_head, networks.teacher_last_layer, classes); // [2B, K]
        const probabilities = tf.softmax(raw.sub(state.centre).div(rates.teacherTemperature));
        const [first, second] = tf.split(probabilities, 2); // [B, K]
        return { first, second, raw: tf.addN(tf.split(raw, 2)).div(2) };
      }),
    outputs(networks, { views }) {
      const large = classesOfLarge(networks.encoder, views); // [2B, D]
      const small = views.local ? [classTokens(local.forward(networks.encoder, views.local))] : []; // [(C - 2) B, D]
      const raw = applyHead(networks.head, networks.last_layer, tf.concat([large, ...small])); // [C B, K]
      const logs = tf.logSoftmax(raw.div(studentTemperature));
      const images = views.first.shape[0];
      const [first, second, others] = tf.split(logs, [images, images, localCrops * images].slice(0, 2 + small.length));
      const ofLarge = first.add(second); // [B, K]
      if (!others) return { first, second, all: ofLarge };
      return { first, second, all: ofLarge.add(others.reshape([images, localCrops, outputDim]).sum(1)) };
    },
    terms: [
      {
        name: 'crossEntropy',
        weight: 1,
        over: 'images',
        /** Mean of -Σ p log q over all pairs of a teacher's crop and another one of the student: 2 (C - 1). */
        compute(student, teacher) {
          const pairs = teacher.first.add(teacher.second).mul(student.all);
          const same = teacher.first.mul(student.first).add(teacher.second.mul(student.second));
          return same
            .sub(pairs)
            .sum(1)
            .mean()
            .div(2 * (crops - 1));
        },
      },
    ],
    state: {
      initial: { centre: { shape: [outputDim], values: new Float32Array(outputDim) } },
      statistics: (_outputs, { raw }, { fraction }) => ({ mean: raw.mean(0).mul(fraction) }),
      next: ({ centre }, { mean }) => ({ centre: centre.mul(centreMomentum).add(mean.mul(1 - centreMomentum)) }),
    },
    rates: {
      emaDecay: emaDecay(options, cosine),
      teacherTemperature: teacherTemperature(options),
      lastLayerSteps: (step, { stepsPerEpoch }) =>
        Math.max(0, step - Math.round(lastLayerFrozenEpochs * stepsPerEpoch)),
    },
    logs: [
      {
        name: 'targetEntropy',
        rows: (_outputs, { first, second }) => entropy(first).add(entropy(second)).div(2), // [b]
        compute: (rows) => rows.mean(),
      },
    ],
    dispose: () => local.dispose(),
  };
}

/** -Σ p log p in nats, of probabilities [B, K]: from 0 to log K, where targets no longer tell images apart. */
function entropy(probabilities: Tensor): Tensor {
  return probabilities.mul(probabilities.add(1e-30).log()).sum(1).neg();
}

/** Linear from the first epoch's temperature to the last one of the warm-up; the same in all steps of an epoch. */
function teacherTemperature({ startTeacherTemperature, teacherTemperature: final, teacherWarmupEpochs }: Own): Rate {
  return (step, { stepsPerEpoch }) => {
    const epoch = Math.floor((step - 1) / stepsPerEpoch);
    if (epoch >= teacherWarmupEpochs) return final;
    return linear(startTeacherTemperature, final, epoch / Math.max(1, teacherWarmupEpochs - 1));
  };
}

function sizeOfHead(options: Own): HeadSize {
  const { headDim: hidden, bottleneckDim: bottleneck, outputDim: outputs, lastLayerLengths } = options;
  return {
    inputs: encoderSize(options).dim,
    hidden,
    bottleneck,
    outputs,
    learnsLengths: lastLayerLengths === 'learned',
  };
}

/** Side of the small crops, in pixels. */
function localSize({ imageSize, patchSize, localImageSize }: Own): number {
  const usual = patchSize * Math.max(1, Math.round(((96 / 224) * imageSize) / patchSize));
  if ((localImageSize ?? usual) % patchSize === 0) return localImageSize ?? usual;
  throw new UserError(`small crops of ${localImageSize} pixels cannot be cut into patches of ${patchSize} pixels`, {
    expected: 'a multiple of the patch size',
    remedy: `use --local-image-size ${usual}`,
  });
}
