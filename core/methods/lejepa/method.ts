import { grouped, integer, interval, number } from '../../config/option.js';
import type { Options } from '../../config/schema.js';
import { encoderShape } from '../../config/settings.js';
import { type Tensor, tf } from '../../engine/tf.js';
import { imagePass } from '../../nn/cost.js';
import {
  applyMlpHead,
  initialMlpHead,
  type MlpHeadSize,
  mlpHeadProjections,
  mlpHeadShapes,
} from '../../nn/mlp-head.js';
import type { Parameters } from '../../nn/parameters.js';
import { usualValues } from '../initial.js';
import { drawNumbers, regularizationOf, tryExtensions } from '../losses.js';
import { defineMethod, type Method, type MethodContext, type OwnOptions } from '../method.js';
import { CPU_SMALL, SATURATION, targetStd } from '../shared.js';

const OPTIONS = {
  ...grouped('Data', {
    globalViews: integer({ default: 2, min: 1, help: 'crops of each image whose mean is to be predicted' }),
    localViews: integer({ default: 6, min: 0, help: 'smaller crops of each image that predict it, too' }),
    localSize: integer({
      min: 1,
      unit: 'pixels',
      help: 'side of the smaller crops; a multiple of the patch size',
      automatic: "the paper's 98 of 224, on other images the same fraction in whole patches",
    }),
    localScale: interval({
      default: [0.05, 0.3],
      min: 0,
      max: 1,
      open: true,
      help: "part of the picture's area that a smaller crop covers",
    }),
    solarize: number({ default: 0.2, min: 0, max: 1, help: 'probability that values from 128 on are inverted' }),
  }),
  lambda: number({
    group: 'Objective',
    default: 0.05,
    min: 0,
    max: 1,
    help: 'weight of SIGReg, which wants embeddings to be normally distributed; the rest is that of the prediction',
  }),
  ...grouped('Model', {
    projectorWidth: integer({ default: 2048, min: 1, help: "width of the projector's two hidden layers" }),
    projectorDim: integer({ default: 128, min: 1, help: 'numbers of an embedding' }),
  }),
};
type Own = Options & OwnOptions<typeof OPTIONS>;

/** Images a step of the paper's preset. It gives no number for its large runs; 128 to 1024 did alike (table 1). */
const BATCH = 512;

export default defineMethod({
  name: 'lejepa',
  title: 'LeJEPA',
  summary:
    'predicts, from each of several crops, the mean of the global ones, without a teacher (Balestriero and LeCun 2025)',
  options: OPTIONS,
  /** The official README's: ColorJitter(0.4, 0.4, 0.2, 0.1), a last rate of a thousandth; its example's start and warm-up. */
  defaults: {
    flip: 0.5,
    jitter: 0.5,
    blur: 0.5,
    learningRate: 5e-4,
    startLearningRate: 5e-6,
    finalLearningRate: 5e-7,
    warmupEpochs: 1,
    weightDecay: 0.05,
    finalWeightDecay: 0.05,
  },
  presets: {
    'paper-lejepa-vitl14': {
      summary: "LeJEPA's ViT-L/14, 100 epochs of ImageNet-1K",
      options: { arch: 'vit-large', patchSize: 14, imageSize: 224, batchSize: BATCH, epochs: 100 },
    },
    'cpu-small-lejepa': {
      summary: 'LeJEPA at the sizes of cpu-small-ijepa',
      options: {
        ...CPU_SMALL,
        cropScale: [0.3, 1],
        localViews: 2,
        projectorWidth: 256,
        projectorDim: 32,
        learningRate: 1e-3,
      },
    },
  },
  extensions: () => ({ sigreg: { kind: 'regularizer', name: 'sigreg', option: 'lambda' } }),
  acceptsResNet: true,
  create: (options, context) => lejepa(options, context),
  automatic: (options) => ({ localSize: localShape(options).imageSize }),
  describe: ({ globalViews, localViews, lambda }) =>
    `squared distance of ${globalViews} + ${localViews} views from the mean of the first ${globalViews}, and ${lambda} x SIGReg`,
  passes(options) {
    const { globalViews, localViews } = options;
    const views = [
      { rows: globalViews, shape: encoderShape(options) },
      { rows: localViews, shape: localShape(options) },
    ];
    return views.map(({ rows, shape }) => {
      const pass = imagePass(shape, { rows, trained: true });
      const projections = mlpHeadProjections(projectorSize(shape.encoder.dim, options), 2 * rows); // by each of the two terms
      return { ...pass, projections: [...pass.projections, ...projections] };
    });
  },
});

/** Features of all views, the global ones first: [b, V, D]. */
type Outputs = { features: Tensor };

/**
 * LeJEPA (Balestriero and LeCun 2025, algorithm 2): one encoder sees several crops of each image; with a projector it gives
 * an embedding z of each, and all are to be near the mean of the global crops' c, in both of which gradients are taken:
 *
 * (1 - λ) mean (z - c)² + λ mean_v SIGReg(z_v)
 *
 * SIGReg, of the batch's embeddings of each view, keeps them from being all alike. The projector has batch norm over all
 * views of the batch, so that both terms see the whole batch.
 *
 * Letters: b images, V = G + L views of each, global and local, D width, K numbers of an embedding.
 */
function lejepa(options: Own, { encoder: whole, extensions: { sigreg } }: MethodContext): Method<Outputs> {
  if (sigreg?.kind !== 'regularizer') throw new Error('SIGReg was not found');
  const { encoder, shapes } = whole;
  const { globalViews, localViews, localScale, lambda, projectorDim } = options;
  const local = whole.atSize(localShape(options).imageSize);
  const changes = { saturation: SATURATION, solarize: options.solarize };
  const crops = [
    { name: 'global', count: globalViews, crop: changes, seenBy: whole },
    {
      name: 'local',
      count: localViews,
      crop: { ...changes, cropScale: localScale, imageSize: local.imageSize },
      seenBy: local,
    },
  ].filter(({ count }) => count > 0);
  const init = usualValues(options);
  const projector = mlpHeadShapes(projectorSize(encoder.dim, options));
  const viewCount = globalViews + localViews;
  const centre = (ofViews: Tensor) => tf.slice(ofViews, [0, 0, 0], [-1, globalViews, -1]).mean(1, true); // [n, 1, ...]
  const embed = (parameters: Parameters, features: Tensor) =>
    applyMlpHead(parameters, features.reshape([-1, encoder.dim])).reshape([-1, viewCount, projectorDim]); // [n, V, K]
  return {
    networks: {
      encoder: { shapes, role: { by: 'gradient' }, init },
      projector: { shapes: projector, role: { by: 'gradient' }, init: initialMlpHead },
    },
    views: crops.map(({ name, count, crop }) => ({ name, count, crop })),
    encoders: { encoder: 'encoder' },
    sizes: { encoder },
    masks: {},
    targets: () => ({}),
    outputs(networks, { views }) {
      const pooled = crops.map(
        ({ name, count, seenBy }) =>
          seenBy.features(networks.encoder, views[name], 1).reshape([-1, count, encoder.dim]), // [b, G, D] and [b, L, D]
      );
      return { features: tf.concat(pooled, 1) };
    },
    terms: [
      {
        name: 'prediction',
        weight: 1 - lambda,
        over: 'batch',
        rows: ({ features }) => features,
        heads: ['projector'],
        compute(features, _drawn, _rates, { heads }) {
          const embedded = embed(heads.projector, features);
          return embedded.sub(centre(embedded)).square().mean();
        },
      },
      {
        name: 'sigreg',
        weight: lambda,
        over: 'batch',
        rows: ({ features }) => features,
        heads: ['projector'],
        draw: (stream) => drawNumbers(sigreg, stream, projectorDim),
        compute(features, drawn, _rates, { heads }) {
          const views = tf.unstack(embed(heads.projector, features), 1); // V times [n, K]
          const values = views.map((view) => regularizationOf(sigreg, view, drawn));
          return values.reduce((sum, value) => sum.add(value)).div(values.length);
        },
      },
    ],
    rates: {},
    logs: [targetStd(({ features }) => centre(features).squeeze([1]))],
    check: () => tryExtensions([sigreg], projectorDim),
    dispose: () => local.dispose(),
  };
}

/** Three layers, the hidden ones with batch norm; biases before it, which it takes away, are left out. */
function projectorSize(inputs: number, { projectorWidth, projectorDim }: Own): MlpHeadSize {
  return { inputs, hidden: [projectorWidth, projectorWidth], outputs: projectorDim };
}

/** The smaller crops: 98 of 224 pixels, or what comes near in whole patches. */
function localShape(options: Own) {
  const { imageSize, patchSize } = encoderShape(options);
  const patches = Math.max(1, Math.round((imageSize * (98 / 224)) / patchSize));
  return encoderShape(options, options.localSize ?? patches * patchSize);
}
