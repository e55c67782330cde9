import type { Preset } from '../../config/presets.js';

/**
 * What the four released configurations of the reference code share (facebookresearch/ijepa, configs/). Their batch sizes
 * are those of one GPU, which is a mask group here; the names of their folders of logs say that all of them make 2048.
 */
const REFERENCE: Preset['options'] = {
  batchSize: 2048,
  loss: 'smooth-l1',
  init: 'reference',
  maskMode: 'reference',
  imageSize: 224,
  predictorDim: 384,
  predictorDepth: 12,
  startLearningRate: 2e-4,
};

/** What the paper's runs share (appendix A.1). It does not say what lay on one GPU: 16 of them, as in the released runs. */
const PAPER: Preset['options'] = {
  batchSize: 2048,
  maskGroup: 128,
  warmupEpochs: 15,
  startLearningRate: 1e-4,
  weightDecaySchedule: 'linear',
  loss: 'l2',
  imageSize: 224,
};

/** What makes small models learn from little data in a short time: a term against collapse, constant weight decay. */
const SMALL: Preset['options'] = {
  regularizer: 'vicreg',
  weightDecay: 0.05,
  finalWeightDecay: 0.05,
  cropScale: [0.6, 1],
};

export const PRESETS = {
  demo: {
    summary: 'a small model on generated shapes, a minute on a laptop',
    options: {
      ...SMALL,
      data: ['shapes:4096'],
      out: 'runs/demo',
      imageSize: 48,
      patchSize: 8,
      dim: 64,
      depth: 4,
      heads: 4,
      predictorDim: 32,
      predictorDepth: 2,
      batchSize: 32,
      epochs: 6,
      learningRate: 3e-3,
      regularizerWeight: 1,
      ema: 0.998,
      watchEverySteps: 16,
    },
  },
  'cpu-small': {
    summary: 'a model that learns from a few thousand pictures on a CPU within hours',
    options: {
      ...SMALL,
      imageSize: 64,
      patchSize: 8,
      dim: 128,
      depth: 6,
      heads: 4,
      predictorDim: 64,
      predictorDepth: 3,
      batchSize: 64,
      epochs: 100,
      ema: 0.998,
    },
  },
  'paper-vitb16': {
    summary: "the paper's ViT-B/16, 600 epochs of ImageNet-1K",
    options: { ...PAPER, arch: 'vit-base', patchSize: 16, epochs: 600 },
  },
  'paper-vitl16': {
    summary: "the paper's ViT-L/16, 600 epochs of ImageNet-1K",
    options: { ...PAPER, arch: 'vit-large', patchSize: 16, epochs: 600 },
  },
  'paper-vith14': {
    summary: "the paper's ViT-H/14, 300 epochs of ImageNet-1K",
    options: { ...PAPER, arch: 'vit-huge', patchSize: 14, epochs: 300 },
  },
  'paper-vith16-448': {
    summary: "the paper's ViT-H/16 at 448 pixels, 300 epochs of ImageNet-1K",
    options: { ...PAPER, arch: 'vit-huge', patchSize: 16, imageSize: 448, maskGroup: 16, epochs: 300 },
  },
  'in1k-vith14-ep300': {
    summary: "the reference code's released configuration in1k_vith14_ep300",
    options: { ...REFERENCE, arch: 'vit-huge', patchSize: 14, maskGroup: 128, epochs: 300, warmupEpochs: 40 },
  },
  'in1k-vith16-448-ep300': {
    summary: "the reference code's released configuration in1k_vith16-448_ep300",
    options: {
      ...REFERENCE,
      arch: 'vit-huge',
      patchSize: 16,
      imageSize: 448,
      maskGroup: 16,
      epochs: 300,
      warmupEpochs: 40,
    },
  },
  'in22k-vith14-ep66': {
    summary: "the reference code's released configuration in22k_vith14_ep66",
    options: { ...REFERENCE, arch: 'vit-huge', patchSize: 14, maskGroup: 32, epochs: 66, warmupEpochs: 3 },
  },
  'in22k-vitg16-ep44': {
    summary: "the reference code's released configuration in22k_vitg16_ep44",
    options: {
      ...REFERENCE,
      arch: 'vit-giant',
      patchSize: 16,
      predictorDepth: 16,
      maskGroup: 16,
      epochs: 44,
      warmupEpochs: 3,
    },
  },
} as const satisfies Record<string, Preset>;
