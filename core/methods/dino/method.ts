import type { Preset } from '../../config/schema.js';
import { tf } from '../../engine/tf.js';
import type { ImageEncoder } from '../../nn/backbone.js';
import { applyHead } from '../../nn/projection-head.js';
import { defineMethod, type Method } from '../method.js';
import {
  type ClassOutputs,
  type ClassTargets,
  classTargets,
  classTerm,
  largeCrops,
  nextCentre,
  selfDistillation,
  selfDistillationPasses,
  targetEntropy,
} from '../self-distillation/classes.js';
import { DEFAULTS, localSize, OPTIONS, type SelfDistillationOptions, SMALL } from '../self-distillation/options.js';
import { CPU_SMALL } from '../shared.js';

/** What the paper's runs of ViT-S/16 share (appendix; official code, README.md): a base rate of 5e-4 for 256 images. */
const PAPER: Preset['options'] = { arch: 'vit-small', imageSize: 224, warmupEpochs: 10 };

export default defineMethod({
  name: 'dino',
  title: 'DINO',
  summary: 'gives what its teacher makes of other crops of the image (Caron et al. 2021)',
  options: OPTIONS,
  defaults: DEFAULTS,
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
      summary: 'DINO at the sizes of cpu-small-ijepa',
      options: { ...CPU_SMALL, ...SMALL },
    },
  },
  architecture: () => ({ classToken: true, classFeatures: true }),
  acceptsResNet: true,
  create: (options, { encoder }) => dino(encoder, options),
  automatic: (options) => ({ localImageSize: localSize(options) }),
  describe: ({ outputDim, localCrops, teacherTemperature }) =>
    `cross-entropy of ${outputDim} outputs, teacher centred and sharpened by ${teacherTemperature}, ` +
    `2 crops and ${localCrops} small ones`,
  passes: (options) => selfDistillationPasses(options, false),
});

/** DINO (Caron et al. 2021, section 3): see `selfDistillation`; features of whole crops alone are compared. */
export function dino(encoder: ImageEncoder, options: SelfDistillationOptions): Method<ClassOutputs, ClassTargets> {
  const { outputDim, centreMomentum } = options;
  const { drawBranches, classesOfLarge, classesOfSmall, classOutputs, ...parts } = selfDistillation(encoder, options);
  return {
    ...parts,
    masks: {},
    draw: (stream, imageCount) => ({ groups: [{ imageCount, masks: {}, values: drawBranches(stream, imageCount) }] }),
    targets: ({ teacher, teacher_head, teacher_last_layer }, { views, state, rates }) =>
      tf.tidy(() => {
        const large = encoder.features(teacher, largeCrops(views), 1); // [2B, D]
        const raw = applyHead(teacher_head, teacher_last_layer, large); // [2B, K]
        return classTargets(raw, state.centre, rates.teacherTemperature);
      }),
    outputs({ encoder: student, head, last_layer }, part) {
      const classes = [classesOfLarge(student, part), ...classesOfSmall(student, part)];
      return classOutputs(applyHead(head, last_layer, tf.concat(classes))); // of [C B, K]
    },
    terms: [classTerm(1, options)],
    state: {
      initial: { centre: { shape: [outputDim], values: new Float32Array(outputDim) } },
      statistics: (_outputs, { raw }, { fraction }) => ({ mean: raw.mean(0).mul(fraction) }),
      next: ({ centre }, { mean }) => ({ centre: nextCentre(centre, mean, centreMomentum) }),
    },
    logs: [targetEntropy],
  };
}
