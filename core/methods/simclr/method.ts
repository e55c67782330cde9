import { grouped, integer, NONE, number } from '../../config/option.js';
import type { Options, Preset } from '../../config/schema.js';
import { encoderShape } from '../../config/settings.js';
import { type Scalar, type Tensor, tf } from '../../engine/tf.js';
import { imagePass } from '../../nn/cost.js';
import {
  applyMlpHead,
  initialMlpHead,
  type MlpHeadSize,
  mlpHeadProjections,
  mlpHeadShapes,
} from '../../nn/mlp-head.js';
import { unit } from '../../nn/projection-head.js';
import { usualValues } from '../initial.js';
import { REGULARIZER_OPTIONS, regularizerRequest, regularizerTerms, tryExtensions } from '../losses.js';
import { defineMethod, type Method, type MethodContext, type OwnOptions, type Tensors } from '../method.js';
import { CPU_SMALL, RESNET_RUNS, SMALL_ADAMW } from '../shared.js';

const OPTIONS = {
  temperature: number({
    group: 'Objective',
    default: 0.1,
    min: 0,
    open: true,
    help: 'by which the similarities of projections are divided',
  }),
  ...grouped('Model', {
    headLayers: integer({ default: 3, min: 1, help: 'layers of the projection head: 3 in SimCLR v2, 2 in v1' }),
    headDim: integer({
      min: 1,
      help: "width of the head's hidden layers",
      automatic: "the encoder's, as in the paper",
    }),
    outputDim: integer({ default: 128, min: 1, help: 'numbers of a projection' }),
  }),
  ...REGULARIZER_OPTIONS,
};
type Own = Options & OwnOptions<typeof OPTIONS>;

/** SimCLR v2's runs (section 3); a warm-up of 5% of the epochs. */
const SECOND_VERSION = {
  ...RESNET_RUNS,
  backbone: 'resnet152',
  width: 2,
  epochs: 800,
  warmupEpochs: 40,
  learningRate: 6.4, // 0.1 √4096
} as const;

/** Jitter and no blur as in the official command for CIFAR-10; at its temperature of 0.5, kNN is 3 points lower. */
const SMALL: Preset['options'] = {
  ...CPU_SMALL,
  ...SMALL_ADAMW,
  cropScale: [0.3, 1],
  jitter: 0.5,
  blur: 0,
  temperature: 0.2,
};

export default defineMethod({
  name: 'simclr',
  title: 'SimCLR',
  summary: 'tells the other crop of an image from those of all other images (Chen et al. 2020)',
  options: OPTIONS,
  /** Those of the official code's README, whose rate of 0.075 √batch is that of the usual batch here. */
  defaults: {
    cropScale: [0.08, 1],
    flip: 0.5,
    jitter: 1,
    blur: 0.5,
    optimiser: 'lars',
    learningRate: 0.6,
    startLearningRate: 0,
    finalLearningRate: 0,
    weightDecay: 1e-4,
    finalWeightDecay: 1e-4,
  },
  presets: {
    'paper-simclr-resnet50': {
      summary: "SimCLR's ResNet-50, 1000 epochs of ImageNet-1K",
      options: {
        ...RESNET_RUNS,
        epochs: 1000,
        learningRate: 4.8, // 0.3 x 4096 / 256
        weightDecay: 1e-6,
        finalWeightDecay: 1e-6,
        headLayers: 2,
      },
    },
    'paper-simclrv2-resnet152x2': {
      summary: "SimCLR v2's ResNet-152 of twice the width, 800 epochs of ImageNet-1K, but without its memory",
      options: SECOND_VERSION,
    },
    'paper-simclrv2-resnet152x2-sk': {
      summary: 'the same with selective kernels',
      options: { ...SECOND_VERSION, selectiveKernels: true },
    },
    'cpu-small': {
      summary:
        'a small model of pictures of any kind, within four minutes of two cores, from weights that come with the program',
      options: {
        ...SMALL,
        optimiser: 'muon',
        batchSize: 128, // half the work of Muon for each image
        temperature: 0.1,
        imageSize: 32,
        depth: 2,
        headLayers: 2,
        headDim: 1024,
        imagesSeen: 150_000,
        regularizer: 'isotropy', // with NT-Xent alone the mean dominates features, and all cosines are near 1
        regularizerWeight: 0.1,
        initFrom: 'builtin:drawings', // of the same model
      },
    },
    'cpu-small-simclr': { summary: 'SimCLR at the sizes of cpu-small-ijepa', options: SMALL },
  },
  acceptsResNet: true,
  extensions: (options) => regularizerRequest(options),
  create: (options, context) => simclr(context, options),
  automatic: (options) => ({ headDim: options.headDim ?? encoderShape(options).encoder.dim }),
  describe: ({ temperature, headLayers, regularizer, regularizerWeight }) =>
    `NT-Xent of two views at temperature ${temperature}, head of ${headLayers} layers` +
    (regularizer === NONE ? '' : ` + ${regularizerWeight} x ${regularizer} of features`),
  passes(options) {
    const shape = encoderShape(options);
    const pass = imagePass(shape, { rows: 2, trained: true });
    const head = mlpHeadProjections(headSize(shape.encoder.dim, options), 2);
    return [{ ...pass, projections: [...pass.projections, ...head] }];
  },
});

/** Features of the two views of each image, side by side: [2b, D]. */
type Outputs = { features: Tensor };

/**
 * SimCLR (Chen et al. 2020) with the projection head of its second version (Chen et al. 2020, arXiv 2006.10029): features of
 * two views of each image go through a perceptron, and of what it makes of a view, the other view's has to be the most
 * similar one in the batch.
 *
 * NT-Xent does not determine how features are distributed: the head's first layer is linear and its batch norm takes away
 * their mean, so that any invertible affine map of them can give the same loss. A regularizer may determine it.
 *
 * Letters: b images of a part, B of the batch, D width, K numbers of a projection.
 */
export function simclr(context: MethodContext, options: Own): Method<Outputs> {
  const { encoder: whole, extensions } = context;
  const { encoder, shapes } = whole;
  return {
    networks: {
      encoder: { shapes, role: { by: 'gradient' }, init: usualValues(options) },
      head: { shapes: mlpHeadShapes(headSize(encoder.dim, options)), role: { by: 'gradient' }, init: initialMlpHead },
    },
    views: [{ name: 'view', count: 2 }],
    encoders: { encoder: 'encoder' },
    sizes: { encoder },
    masks: {},
    targets: () => ({}),
    outputs: (networks, { views }) => ({ features: whole.features(networks.encoder, views.view, 1) }),
    terms: [
      {
        name: 'ntXent',
        weight: 2, // the official code adds the means of first and second views, of which the paper takes the mean
        over: 'batch',
        rows: ({ features }) => features,
        heads: ['head'],
        compute: (features, _drawn, _rates, { heads }) =>
          ntXent(applyMlpHead(heads.head, features), options.temperature),
      },
      ...regularizerTerms<Outputs, Tensors>(context, options, ({ features }) => features, encoder.dim),
    ],
    rates: {},
    logs: [],
    check: () => tryExtensions([extensions.regularizer ?? null], encoder.dim),
    dispose: () => {},
  };
}

/** The projection head: batch norm after every layer, which only scales the last one's outputs; no biases before it. */
function headSize(inputs: number, { headLayers, headDim, outputDim }: Own): MlpHeadSize {
  const hidden = new Array<number>(headLayers - 1).fill(headDim ?? inputs);
  return { inputs, hidden, outputs: outputDim, outputBias: false, normsOutputs: true };
}

/** Taken from a view's similarity with itself, so that it counts for nothing. */
const LARGE = 1e9;

/**
 * The normalised, temperature-scaled cross-entropy (Chen et al. 2020, equation 1), as the mean over all views i:
 *
 *   -log (exp(s_ij / τ) / Σ_{k ≠ i} exp(s_ik / τ))
 *
 * where s are cosines and j is the other view of i's image.
 * @param z projections [2B, K], the two of an image side by side
 * @param temperature τ
 */
export function ntXent(z: Tensor, temperature: number): Scalar {
  const views = z.shape[0];
  const directions = unit(z); // [2B, K]
  const logits = tf.matMul(directions, directions, false, true).div(temperature); // [2B, 2B]
  const all = tf.logSumExp(logits.sub(tf.eye(views).mul(LARGE)), 1); // [2B]
  const [first, second] = tf.split(directions.reshape([views / 2, 2, -1]), 2, 1); // [B, 1, K]
  const pairs = first.mul(second).sum([1, 2]).div(temperature); // [B]
  return all.mean().sub(pairs.mean());
}
