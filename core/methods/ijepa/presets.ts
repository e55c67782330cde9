import type { Preset } from '../../config/schema.js';
import { CPU_SMALL } from '../shared.js';

type Values = Preset['options'];

/** What makes small models learn from little data in a short time: a term against collapse, constant weight decay. */
const SMALL: Values = {
  regularizer: 'vicreg',
  weightDecay: 0.05,
  finalWeightDecay: 0.05,
  ema: 0.998,
};

/** What the paper's runs share (appendix A.1). It does not say what lay on one GPU: 16 of them, as in the released runs. */
const PAPER: Values = {
  batchSize: 2048,
  maskGroup: 128,
  warmupEpochs: 15,
  startLearningRate: 1e-4,
  weightDecaySchedule: 'linear',
};
const paper = (model: string, epochs: number, values: Values): Preset => ({
  summary: `the paper's ${model}, ${epochs} epochs of ImageNet-1K`,
  options: { ...PAPER, epochs, ...values },
});

/**
 * What the four released configurations of the reference code share (facebookresearch/ijepa, configs/). Their batch sizes
 * are those of one GPU, which is a mask group here; the names of their folders of logs say that all of them make 2048.
 */
const RELEASED: Values = {
  batchSize: 2048,
  loss: 'smooth-l1',
  init: 'reference',
  maskMode: 'reference',
  startLearningRate: 2e-4,
};
const released = (name: string, epochs: number, warmupEpochs: number, values: Values): Preset => ({
  summary: `the reference code's released configuration ${name}`,
  options: { ...RELEASED, epochs, warmupEpochs, ...values },
});

const HUGE_14: Values = { arch: 'vit-huge', patchSize: 14 };
const HUGE_448: Values = { arch: 'vit-huge', imageSize: 448, maskGroup: 16 };

export const PRESETS: Readonly<Record<string, Preset>> = {
  demo: {
    summary: 'a small model on generated shapes, a minute on a laptop',
    options: {
      ...CPU_SMALL,
      ...SMALL,
      data: ['shapes:4096'],
      out: 'runs/demo',
      imageSize: 48,
      dim: 64,
      depth: 4,
      predictorDim: 32,
      predictorDepth: 2,
      regularizerWeight: 1,
      batchSize: 32,
      epochs: 6,
      learningRate: 3e-3,
      watchEverySteps: 16,
    },
  },
  'cpu-small-ijepa': {
    summary: 'an I-JEPA that learns from a few thousand pictures on a CPU within hours',
    options: { ...CPU_SMALL, ...SMALL, predictorDim: 64, predictorDepth: 3, ema: 0.99 },
  },
  'paper-vitb16': paper('ViT-B/16', 600, { arch: 'vit-base' }),
  'paper-vitl16': paper('ViT-L/16', 600, { arch: 'vit-large' }),
  'paper-vith14': paper('ViT-H/14', 300, HUGE_14),
  'paper-vith16-448': paper('ViT-H/16 at 448 pixels', 300, HUGE_448),
  'in1k-vith14-ep300': released('in1k_vith14_ep300', 300, 40, { ...HUGE_14, maskGroup: 128 }),
  'in1k-vith16-448-ep300': released('in1k_vith16-448_ep300', 300, 40, HUGE_448),
  'in22k-vith14-ep66': released('in22k_vith14_ep66', 66, 3, { ...HUGE_14, maskGroup: 32 }),
  'in22k-vitg16-ep44': released('in22k_vitg16_ep44', 44, 3, { arch: 'vit-giant', maskGroup: 16 }),
};
