import { choice, integer, number } from '../../config/option.js';
import type { Options } from '../../config/schema.js';
import { decoderSize, encoderSize } from '../../config/settings.js';
import { decoderPass, encoderPass } from '../../nn/cost.js';
import type { VitSize } from '../../nn/sizes.js';
import { CPU_SMALL } from '../cpu-small.js';
import { defineMethod, type OwnOptions } from '../method.js';
import { keptPatches, mae } from './method.js';

const OPTIONS = {
  maskRatio: number({
    group: 'Masks',
    default: 0.75,
    min: 0,
    below: 1,
    open: true,
    help: 'fraction of the patches that the encoder does not see and the decoder has to give',
  }),
  pixelTargets: choice({
    group: 'Objective',
    default: 'normalised',
    choices: ['normalised', 'raw'],
    help: 'whether the pixels of each patch are normalised before they are predicted',
  }),
  decoderDim: integer({
    group: 'Model',
    min: 4,
    help: 'width of the decoder; a multiple of 4 and of its heads',
    automatic: "the paper's 512 for ViT-B and larger, half the encoder's width below",
  }),
  decoderDepth: integer({
    group: 'Model',
    min: 1,
    help: 'blocks of the decoder',
    automatic: "the paper's 8 for ViT-B and larger, 4 below, never more than the encoder's",
  }),
  decoderHeads: integer({
    group: 'Model',
    min: 1,
    help: 'attention heads of the decoder',
    automatic: "the paper's 16 for ViT-B and larger, the encoder's below",
  }),
};
type Own = Options & OwnOptions<typeof OPTIONS>;

/** The paper's settings (appendix A.1; official code, PRETRAIN.md): a base rate of 1.5e-4 for 256 images. */
const PAPER = { imageSize: 224, batchSize: 4096, epochs: 1600, warmupEpochs: 40, learningRate: 2.4e-3 };
/** From this width on, the decoder is the paper's. */
const PAPER_WIDTH = 768;

export default defineMethod({
  name: 'mae',
  title: 'MAE',
  summary: 'gives the pixels of the patches that its encoder does not see (He et al. 2022)',
  options: OPTIONS,
  defaults: {
    cropScale: [0.2, 1],
    flip: 0.5,
    beta2: 0.95,
    startLearningRate: 0,
    finalLearningRate: 0,
    weightDecay: 0.05,
    finalWeightDecay: 0.05,
  },
  presets: {
    'paper-mae-vitb16': {
      summary: "MAE's ViT-B/16, 1600 epochs of ImageNet-1K",
      options: { ...PAPER, arch: 'vit-base' },
    },
    'paper-mae-vitl16': {
      summary: "MAE's ViT-L/16, 1600 epochs of ImageNet-1K",
      options: { ...PAPER, arch: 'vit-large' },
    },
    'paper-mae-vith14': {
      summary: "MAE's ViT-H/14, 1600 epochs of ImageNet-1K",
      options: { ...PAPER, arch: 'vit-huge', patchSize: 14 },
    },
    'cpu-small-mae': { summary: 'MAE at the sizes of cpu-small', options: CPU_SMALL },
  },
  architecture: () => ({ classToken: true }),
  create: (options, { backbone }) =>
    mae(backbone, {
      decoder: sizeOfDecoder(options),
      maskRatio: options.maskRatio,
      normalisePixels: options.pixelTargets === 'normalised',
    }),
  automatic(options) {
    const { dim, depth, heads } = sizeOfDecoder(options);
    return { decoderDim: dim, decoderDepth: depth, decoderHeads: heads };
  },
  describe: ({ maskRatio, pixelTargets }) =>
    `squared distance of ${pixelTargets} pixels, ${Math.round(100 * maskRatio)}% of the patches masked`,
  passes(options) {
    const { imageSize, patchSize, maskRatio } = options;
    const encoder = { ...encoderSize(options), classToken: true };
    const patches = (imageSize / patchSize) ** 2;
    const visible = keptPatches(patches, maskRatio);
    const decoder = { visible, masked: patches - visible, outputs: 3 * patchSize ** 2 };
    return [
      encoderPass(encoder, patchSize, { patches: visible, trained: true }),
      decoderPass(encoder, sizeOfDecoder(options), decoder),
    ];
  },
});

function sizeOfDecoder(options: Own): VitSize {
  const encoder = encoderSize(options);
  const isPapers = encoder.dim >= PAPER_WIDTH;
  const { decoderDim: dim, decoderDepth: depth, decoderHeads: heads } = options;
  const small = { dim: roundUp(encoder.dim / 2, heads ?? encoder.heads), depth: Math.min(4, encoder.depth) };
  const usual = isPapers ? { dim: 512, depth: 8, heads: 16 } : { ...small, heads: encoder.heads };
  return decoderSize({ dim, depth, heads }, usual, '--decoder-dim');
}

/** The next width that 4 and the heads divide. */
function roundUp(width: number, heads: number): number {
  let next = Math.ceil(width);
  while (next % 4 !== 0 || next % heads !== 0) next++;
  return next;
}
