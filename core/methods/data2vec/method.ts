import { integer, number } from '../../config/option.js';
import type { Options } from '../../config/schema.js';
import { encoderSize } from '../../config/settings.js';
import { linear, normalise } from '../../engine/functions.js';
import { type Tensor, tf } from '../../engine/tf.js';
import type { Backbone } from '../../nn/backbone.js';
import { encoderPass } from '../../nn/cost.js';
import { parameter } from '../../nn/parameters.js';
import { tokensFrom } from '../../nn/vit.js';
import { beitValue } from '../initial.js';
import { drawBlockwiseMask } from '../masks/blocks.js';
import { blockwiseOptions, blockwiseSettings } from '../masks/blockwise.js';
import { defineMethod, type Method, type NetworkSpec, type OwnOptions } from '../method.js';
import { averageOf, CPU_SMALL, emaDecay, emaOptions, TARGET_EPSILON, targetStd } from '../shared.js';

const OPTIONS = {
  ...blockwiseOptions(0.6, 'fraction of the patches that are masked at most, in blocks'),
  topLayers: integer({
    group: 'Objective',
    min: 1,
    help: "how many of the teacher's last blocks make the targets",
    automatic: "the paper's 6, or half of the blocks where there are fewer than 12",
  }),
  lossBeta: number({
    group: 'Objective',
    default: 2,
    min: 0,
    open: true,
    help: 'distance at which the smooth L1 loss goes from squared to linear',
  }),
  layerScale: number({ group: 'Model', default: 1e-4, min: 0, open: true, help: 'first value of layer scale' }),
  ...emaOptions(0.9998, 0.9998),
};
type Own = Options & OwnOptions<typeof OPTIONS>;

/** The settings of the official commands for ViT-B/16 (data2vec_vision, README.md), but for what this program does not have. */
const PAPER = {
  imageSize: 224,
  epochs: 800,
  maskRatio: 120 / 196,
  jitter: 0.4,
  finalLearningRate: 1e-5,
};

export default defineMethod({
  name: 'data2vec',
  title: 'data2vec',
  summary: "gives the mean of its teacher's last blocks at masked patches (Baevski et al. 2022)",
  options: OPTIONS,
  defaults: {
    cropScale: [0.08, 1],
    flip: 0.5,
    startLearningRate: 0,
    weightDecay: 0.05,
    finalWeightDecay: 0.05,
  },
  presets: {
    'paper-data2vec-vitb16': {
      summary: "data2vec's ViT-B/16, 800 epochs of ImageNet-1K",
      options: { ...PAPER, arch: 'vit-base', batchSize: 2048, learningRate: 2e-3, warmupEpochs: 10 },
    },
    'paper-data2vec-vitl16': {
      summary: "data2vec's ViT-L/16, 800 epochs of ImageNet-1K: the first half of its 1600",
      options: { ...PAPER, arch: 'vit-large', batchSize: 4096, learningRate: 1e-3, warmupEpochs: 80, layerScale: 1e-5 },
    },
    'cpu-small-data2vec': {
      summary: 'data2vec at the sizes of cpu-small-ijepa',
      options: { ...CPU_SMALL, layerScale: 0.1, ema: 0.998, finalEma: 1 },
    },
  },
  architecture: () => ({ classToken: true, layerScale: true, relativePositions: true }),
  create: (options, { backbone }) => data2vec(backbone, options),
  automatic: (options) => ({
    minBlockPatches: blockwiseSettings(options).minBlockPatches,
    topLayers: topLayers(options),
  }),
  describe: (options) => `smooth L1 at masked patches, targets of the teacher's last ${topLayers(options)} blocks`,
  passes(options) {
    const { imageSize, patchSize } = options;
    const size = { ...encoderSize(options), classToken: true };
    const patches = (imageSize / patchSize) ** 2;
    const student = encoderPass(size, patchSize, { patches, trained: true });
    const head = { tokens: patches, inputs: size.dim, outputs: size.dim };
    return [
      encoderPass(size, patchSize, { patches, trained: false }),
      { ...student, projections: [...student.projections, head] },
    ];
  },
});

/**
 * data2vec for images (Baevski et al. 2022): a student that sees a masked image gives, at the masked patches, what its
 * teacher, a moving average of it, makes of the whole image: the mean of the teacher's last K blocks.
 *
 * Letters: B images, N patches, D width; β where the loss goes from squared to linear distance.
 */
export function data2vec(backbone: Backbone, options: Own): Method<{ predicted: Tensor }, { target: Tensor }> {
  const { encoder, shapes, patchCount } = backbone;
  const { dim } = encoder;
  const { layerScale, lossBeta: beta } = options;
  const [masks, layers] = [blockwiseSettings(options), topLayers(options)];
  const init: NetworkSpec['init'] = (name, shape, stream) => beitValue(name, shape, stream, layerScale);
  const head = { mask_token: [1, 1, dim], 'lm_head.weight': [dim, dim], 'lm_head.bias': [dim] };
  const isDecayed = (name: string, shape: readonly number[]) => shape.length > 1 && name !== 'cls_token';
  return {
    networks: {
      encoder: { shapes, role: { by: 'gradient', policy: { isDecayed } }, init },
      head: { shapes: head, role: { by: 'gradient' }, init },
      teacher: { shapes, role: averageOf('encoder') },
    },
    views: [{ name: 'image', count: 1 }],
    encoders: { student: 'encoder', teacher: 'teacher' },
    sizes: { encoder },
    masks: { masked: { title: 'masked', role: 'predicted' } },
    draw(stream, imageCount) {
      const masked = new Float32Array(imageCount * patchCount);
      for (let image = 0; image < imageCount; image++) masked.set(drawBlockwiseMask(masks, stream), image * patchCount);
      const mean = masked.reduce((sum, value) => sum + value, 0) / imageCount;
      // Images have different numbers of masked patches; the loss is a mean over all of the batch.
      const weight = masked.map((value) => value / mean);
      const shape = [imageCount, patchCount, 1];
      const values = { masked: { shape, values: masked }, weight: { shape, values: weight } };
      return { groups: [{ imageCount, masks: {}, values }], logs: { maskedPatches: mean } };
    },
    /** Each block's output without the class token, normalised over its features; their mean, normalised once more. */
    targets: (networks, { views }) =>
      tf.tidy(() => {
        const blocks = backbone.blockOutputs(networks.teacher, views.image, layers); // K times [B, 1 + N, D]
        const normalised = blocks.map((block) => normalise(tokensFrom(block, 1), TARGET_EPSILON)); // K times [B, N, D]
        return { target: normalise(tf.addN(normalised).div(layers), TARGET_EPSILON) };
      }),
    outputs({ encoder: student, head }, { views, values }) {
      const replace = { by: parameter(head, 'mask_token'), where: values.masked };
      const tokens = tokensFrom(backbone.forward(student, views.image, { replace }), 1); // [B, N, D]
      return { predicted: linear(tokens, parameter(head, 'lm_head.weight'), parameter(head, 'lm_head.bias')) };
    },
    terms: [
      {
        name: 'regression',
        weight: 1,
        over: 'images',
        compute: ({ predicted }, { target }, { values }) =>
          smoothL1(predicted.sub(target), beta).mean(2, true).mul(values.weight).sum().div(predicted.shape[0]),
      },
    ],
    rates: { emaDecay: emaDecay(options) },
    logs: [targetStd((_outputs, { target }) => target.mean(1))],
    dispose() {},
  };
}

/** d² / 2β below β, |d| - β / 2 above. */
function smoothL1(difference: Tensor, beta: number): Tensor {
  const distance = difference.abs();
  const near = tf.minimum(distance, beta);
  const squared = near.square().div(2 * beta);
  return squared.add(distance.sub(near));
}

/** K; never more than there are blocks. */
function topLayers(options: Own): number {
  const { depth } = encoderSize(options);
  return Math.min(depth, options.topLayers ?? (depth < 12 ? Math.ceil(depth / 2) : 6));
}
