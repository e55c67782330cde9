import type { RandomStream } from '../../base/random.js';
import { choice, grouped, integer, interval, like, number } from '../../config/option.js';
import type { Options, Preset } from '../../config/schema.js';
import { drawBlockwiseMask } from '../masks/blocks.js';
import type { OwnOptions } from '../method.js';
import { OPTIONS as DINO, SMALL } from '../self-distillation/options.js';
import { CPU_SMALL } from '../shared.js';

export const OPTIONS = {
  ...DINO,
  localCrops: like(DINO.localCrops, { default: 10 }),
  localScale: like(DINO.localScale, { default: [0.05, 0.32] }),
  outputDim: like(DINO.outputDim, { default: 8192, help: 'outputs of the head, for class tokens and patches' }),
  teacherTemperature: like(DINO.teacherTemperature, { default: 0.07 }),
  teacherWarmupEpochs: like(DINO.teacherWarmupEpochs, { default: 30 }),
  ...grouped('Masks', {
    maskedCrops: number({ default: 0.5, min: 0, max: 1, help: 'probability that patches of a large crop are masked' }),
    maskRatio: interval({
      default: [0.1, 0.5],
      min: 0,
      max: 1,
      help: 'fraction of its patches that are masked then, evenly drawn; of blocks the largest',
    }),
    maskShape: choice({ default: 'blocks', choices: ['blocks', 'random'], help: 'how masked patches lie' }),
    maskStartEpoch: integer({ default: 0, min: 0, unit: 'epochs', help: 'epochs before patches are masked' }),
  }),
  ...grouped('Objective', {
    startPatchTemperature: like(DINO.startTeacherTemperature, {
      help: "temperature of the teacher's outputs for patches in the first epoch",
    }),
    patchTemperature: like(DINO.teacherTemperature, { default: 0.07, help: 'the same after its warm-up' }),
    classWeight: number({ default: 1, min: 0, help: 'weight of the cross-entropy of class tokens (lambda1)' }),
    patchWeight: number({ default: 1, min: 0, help: 'weight of the cross-entropy of masked patches (lambda2)' }),
  }),
};
export type Own = Options & OwnOptions<typeof OPTIONS>;

/** What the paper's runs share (appendix B; official code, README.md): batches of 1024 images. */
const PAPER: Preset['options'] = { imageSize: 224, batchSize: 1024, warmupEpochs: 10 };

/** The settings of ViT-B/16: a base rate of 7.5e-4 for 256 images. */
const LARGER: Preset['options'] = {
  ...PAPER,
  learningRate: 3e-3,
  finalLearningRate: 2e-6,
  teacherWarmupEpochs: 50,
  lastLayerFrozenEpochs: 3,
  clipGradient: 0.3,
};

export const PRESETS: Readonly<Record<string, Preset>> = {
  'paper-ibot-vits16': {
    summary: "iBOT's ViT-S/16, 800 epochs of ImageNet-1K, the official code's command",
    options: {
      ...PAPER,
      arch: 'vit-small',
      epochs: 800,
      learningRate: 2e-3,
      cropScale: [0.25, 1],
      localScale: [0.05, 0.25],
      lastLayerLengths: 'learned',
    },
  },
  'paper-ibot-vitb16': {
    summary: "iBOT's ViT-B/16, 400 epochs of ImageNet-1K",
    options: { ...LARGER, arch: 'vit-base', epochs: 400 },
  },
  'paper-ibot-vitl16': {
    summary: "iBOT's ViT-L/16, 250 epochs of ImageNet-1K, other settings those of its ViT-B/16",
    options: { ...LARGER, arch: 'vit-large', epochs: 250 },
  },
  'cpu-small-ibot': {
    summary: 'iBOT at the sizes of cpu-small-ijepa',
    options: { ...CPU_SMALL, ...SMALL },
  },
};

/**
 * Which patches of a large crop are masked (section 3.1 and appendix; official code, `ImageFolderMask`): none, or, with the
 * probability `maskedCrops`, a fraction that is drawn, in blocks or one by one.
 * @returns 1 for masked patches, row by row, [N]
 */
export function drawMask({ imageSize, patchSize, maskedCrops, maskRatio, maskShape }: Own, stream: RandomStream) {
  const gridSize = imageSize / patchSize;
  const patches = gridSize ** 2;
  const mask = new Float32Array(patches);
  if (stream.uniform() >= maskedCrops) return mask;
  const maskedPatches = stream.uniform(...maskRatio) * patches;
  if (maskShape === 'blocks')
    return drawBlockwiseMask({ gridSize, maskedPatches, minBlockPatches: Math.floor(gridSize / 3) ** 2 }, stream);
  for (const patch of stream.permutation(patches).slice(0, Math.floor(maskedPatches))) mask[patch] = 1;
  return mask;
}
