import { integer, number } from '../../config/option.js';
import type { Options } from '../../config/schema.js';
import { encoderSize } from '../../config/settings.js';
import { encoderPass } from '../../nn/cost.js';
import { CPU_SMALL } from '../cpu-small.js';
import { type EmaOptions, emaDecay, emaOptions } from '../ema-options.js';
import { defineMethod, type OwnOptions } from '../method.js';
import { data2vec } from './method.js';

const OPTIONS = {
  maskRatio: number({
    group: 'Masks',
    default: 0.6,
    min: 0,
    below: 1,
    open: true,
    help: 'fraction of the patches that are masked at most, in blocks',
  }),
  minBlockPatches: integer({
    group: 'Masks',
    min: 1,
    unit: 'patches',
    help: 'patches that a block is meant to have',
    automatic: "the paper's 16 of 196, on other grids the same fraction",
  }),
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
type Own = Options & OwnOptions<typeof OPTIONS> & EmaOptions;

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
      summary: 'data2vec at the sizes of cpu-small',
      options: { ...CPU_SMALL, layerScale: 0.1, ema: 0.998, finalEma: 1 },
    },
  },
  architecture: () => ({ classToken: true, layerScale: true, relativePositions: true }),
  create: (options, { backbone }) =>
    data2vec(backbone, {
      masks: maskSettings(options),
      topLayers: topLayers(options),
      beta: options.lossBeta,
      layerScale: options.layerScale,
      emaDecay: emaDecay(options),
    }),
  automatic: (options) => ({
    minBlockPatches: maskSettings(options).minBlockPatches,
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

function maskSettings({ imageSize, patchSize, maskRatio, minBlockPatches }: Own) {
  const gridSize = imageSize / patchSize;
  const patches = gridSize * gridSize;
  return {
    gridSize,
    maskedPatches: Math.max(1, Math.round(maskRatio * patches)),
    minBlockPatches: minBlockPatches ?? Math.max(1, Math.round((16 / 196) * patches)),
  };
}

/** K; never more than there are blocks. */
function topLayers(options: Own): number {
  const { depth } = encoderSize(options);
  return Math.min(depth, options.topLayers ?? (depth < 12 ? Math.ceil(depth / 2) : 6));
}
