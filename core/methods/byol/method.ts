import { grouped, integer } from '../../config/option.js';
import type { Options } from '../../config/schema.js';
import { encoderShape } from '../../config/settings.js';
import { type Tensor, tf } from '../../engine/tf.js';
import type { ImageEncoder } from '../../nn/backbone.js';
import { imagePass } from '../../nn/cost.js';
import {
  applyMlpHead,
  initialMlpHead,
  type MlpHeadSize,
  mlpHeadProjections,
  mlpHeadShapes,
} from '../../nn/mlp-head.js';
import type { Parameters } from '../../nn/parameters.js';
import { unit } from '../../nn/projection-head.js';
import { cosine } from '../../optim/schedules.js';
import { usualValues } from '../initial.js';
import { defineMethod, type Method, type OwnOptions, type Part } from '../method.js';
import {
  asymmetricViews,
  averageOf,
  CPU_SMALL,
  emaDecay,
  emaOptions,
  RESNET_RUNS,
  SMALL_ADAMW,
  targetStd,
} from '../shared.js';

const OPTIONS = {
  ...grouped('Model', {
    projectorWidth: integer({
      default: 4096,
      min: 1,
      help: 'width of the hidden layers of the projector and the predictor',
    }),
    projectorDim: integer({ default: 256, min: 1, help: 'numbers of a projection, and of its prediction' }),
  }),
  ...emaOptions(0.996, 1, 'by half a cosine'),
};
type Own = Options & OwnOptions<typeof OPTIONS>;

/** The paper's runs (appendix A), whose weight decay and moving average are the defaults. */
const LONGEST = { ...RESNET_RUNS, epochs: 1000, learningRate: 3.2 } as const; // 0.2 x 4096 / 256

export default defineMethod({
  name: 'byol',
  title: 'BYOL',
  summary: "predicts what a moving average of its networks makes of the image's other crop (Grill et al. 2020)",
  options: OPTIONS,
  /** The paper's (appendix), whose rate of 0.2 batch / 256 is that of the usual batch here. */
  defaults: {
    cropScale: [0.08, 1],
    flip: 0.5,
    jitter: 0.5,
    blur: 1,
    optimiser: 'lars',
    learningRate: 0.05,
    startLearningRate: 0,
    finalLearningRate: 0,
    weightDecay: 1.5e-6,
    finalWeightDecay: 1.5e-6,
  },
  presets: {
    'paper-byol-resnet50': {
      summary: "BYOL's ResNet-50, 1000 epochs of ImageNet-1K",
      options: LONGEST,
    },
    'paper-byol-resnet200x2': {
      summary: "BYOL's ResNet-200 of twice the width, 1000 epochs of ImageNet-1K",
      options: { ...LONGEST, backbone: 'resnet200', width: 2 },
    },
    'cpu-small-byol': {
      summary: 'BYOL at the sizes of cpu-small-ijepa',
      options: {
        ...CPU_SMALL,
        ...SMALL_ADAMW,
        learningRate: 2e-4, // with 1e-3, representations collapse in the first steps
        cropScale: [0.3, 1],
        blur: 0, // up to 2 pixels wide, it would leave little of small pictures
        projectorWidth: 512,
        projectorDim: 64,
        ema: 0.99,
      },
    },
  },
  acceptsResNet: true,
  create: (options, { encoder }) => byol(encoder, options),
  describe: ({ projectorDim, ema, finalEma }) =>
    `squared distance of ${projectorDim} normalised numbers, both ways between two views; target's decay ${ema} to ${finalEma}`,
  passes(options) {
    const shape = encoderShape(options);
    const projector = mlpHeadProjections(projectorSize(shape.encoder.dim, options), 2);
    const predictor = mlpHeadProjections(projectorSize(options.projectorDim, options), 2);
    const [target, online] = [false, true].map((trained) => imagePass(shape, { rows: 2, trained }));
    return [
      { ...target, projections: [...target.projections, ...projector] },
      { ...online, projections: [...online.projections, ...projector, ...predictor] },
    ];
  },
});

/** Features of the first and of the second view of each image, [b, 2 D]. */
type Features = { features: Tensor };

/**
 * BYOL (Grill et al. 2020): of each of two views, the online networks (encoder, projector, predictor) predict what the target
 * networks (encoder, projector), moving averages of them, make of the other view:
 *
 * L = mean over images of Σ ‖q̄(z_v) - z̄'_w‖², (v, w) = (1, 2) and (2, 1), the bars for scaled to length 1
 *
 * (equation 2 and its symmetric twin). Each batch norm takes the statistics of one view of the whole batch, those of the
 * target as well, as in the official code.
 *
 * Letters: b images of a part, B of the batch, D width, K numbers of a projection.
 */
export function byol(whole: ImageEncoder, options: Own): Method<Features, Features> {
  const { encoder, shapes } = whole;
  const projector = mlpHeadShapes(projectorSize(encoder.dim, options));
  const predictor = mlpHeadShapes(projectorSize(options.projectorDim, options));
  const featuresOf = (parameters: Parameters, { first, second }: Part['views']) => ({
    features: tf.concat([whole.features(parameters, first, 1), whole.features(parameters, second, 1)], 1), // [b, 2 D]
  });
  return {
    networks: {
      encoder: { shapes, role: { by: 'gradient' }, init: usualValues(options) },
      projector: { shapes: projector, role: { by: 'gradient' }, init: initialMlpHead },
      predictor: { shapes: predictor, role: { by: 'gradient' }, init: initialMlpHead },
      target_encoder: { shapes, role: averageOf('encoder') },
      target_projector: { shapes: projector, role: averageOf('projector') },
    },
    views: asymmetricViews(options.blur),
    encoders: { online: 'encoder', target: 'target_encoder' },
    sizes: { encoder },
    masks: {},
    targets: (networks, { views }) => tf.tidy(() => featuresOf(networks.target_encoder, views)),
    outputs: (networks, { views }) => featuresOf(networks.encoder, views),
    terms: [
      {
        name: 'regression',
        weight: 1,
        over: 'batch',
        rows: ({ features }) => features,
        targetRows: ({ features }) => features,
        heads: ['projector', 'predictor', 'target_projector'],
        compute(features, _drawn, _rates, { targets, heads }) {
          if (!targets) throw new Error('there are no rows of targets');
          const predictions = tf
            .split(features, 2, 1) // [B, D]
            .map((view) => unit(applyMlpHead(heads.predictor, applyMlpHead(heads.projector, view)))); // [B, K]
          const projections = tf.split(targets, 2, 1).map((view) => unit(applyMlpHead(heads.target_projector, view)));
          const [first, second] = predictions.map((prediction, view) => prediction.mul(projections[1 - view]).sum(1));
          return first.add(second).mean().mul(-2).add(4); // 2 - 2 cos, both ways
        },
      },
    ],
    rates: { emaDecay: emaDecay(options, cosine) },
    logs: [targetStd((_outputs, { features }) => tf.split(features, 2, 1)[0])],
    dispose: () => {},
  };
}

/** Of projector and predictor; biases before batch norm, which takes them away, are left out. */
function projectorSize(inputs: number, { projectorWidth, projectorDim }: Own): MlpHeadSize {
  return { inputs, hidden: [projectorWidth], outputs: projectorDim, outputBias: false };
}
