import { type Tensor, tf } from '../../engine/tf.js';
import type { Backbone } from '../../nn/backbone.js';
import { type Parameters, parameter } from '../../nn/parameters.js';
import { applyHead } from '../../nn/projection-head.js';
import { classTokens, tokensFrom } from '../../nn/vit.js';
import { defineMethod, type Method, type Part } from '../method.js';
import {
  type ClassOutputs,
  type ClassTargets,
  classTargets,
  classTerm,
  largeCrops,
  nextCentre,
  selfDistillation,
  selfDistillationPasses,
  sharpened,
  targetEntropy,
} from '../self-distillation/classes.js';
import { branchesOf } from '../self-distillation/drop-path.js';
import { DEFAULTS, localSize, warmedUp } from '../self-distillation/options.js';
import { entropy } from '../shared.js';
import { drawMask, OPTIONS, type Own, PRESETS } from './options.js';

export default defineMethod({
  name: 'ibot',
  title: 'iBOT',
  summary: 'DINO, and gives what its teacher makes of masked patches (Zhou et al. 2022)',
  options: OPTIONS,
  defaults: { ...DEFAULTS, cropScale: [0.32, 1] },
  presets: PRESETS,
  architecture: () => ({ classToken: true, classFeatures: true }),
  create: (options, { backbone }) => ibot(backbone, options),
  automatic: (options) => ({ localImageSize: localSize(options) }),
  describe: ({ outputDim, localCrops, teacherTemperature, patchTemperature, classWeight, patchWeight }) =>
    `cross-entropy of ${outputDim} outputs, teacher centred and sharpened by ${teacherTemperature}, patches by ` +
    `${patchTemperature}, ${classWeight} x class tokens of 2 crops and ${localCrops} small ones + ${patchWeight} x masked patches`,
  passes: (options) => selfDistillationPasses(options, true),
});

/** Log p of the student for the patches of the large crops, the first ones of all images before the second ones, [2B, N, K]. */
type Outputs = ClassOutputs & { patches: Tensor };
/** The teacher's probabilities of these patches, [2B, N, K], and of each image the mean of its outputs for them, [B, K]. */
type Targets = ClassTargets & { patches: Tensor; rawPatches: Tensor };

/**
 * iBOT (Zhou et al. 2022, section 3): DINO whose student sees large crops with masked patches and also gives, at these, the
 * probabilities that the teacher, which sees them all, has for the same patches. Class tokens and patches go through one
 * head; the teacher's outputs for patches have a centre and a temperature of their own.
 *
 * Letters: B images, N patches of a large crop, D width, K outputs.
 */
export function ibot(backbone: Backbone, options: Own): Method<Outputs, Targets> {
  const { encoder, patchCount } = backbone;
  const { outputDim, centreMomentum, studentTemperature, maskStartEpoch } = options;
  const { startPatchTemperature, patchTemperature, teacherWarmupEpochs } = options;
  const { drawBranches, classesOfLarge, classesOfSmall, classOutputs, ...parts } = selfDistillation(backbone, options);
  const zeros = { shape: [outputDim], values: new Float32Array(outputDim) };

  /** Outputs of the head for the patches of large crops: [2B, 1 + N, D] -> [2B, N, K]. */
  const headOfPatches = (head: Parameters, lastLayer: Parameters, tokens: Tensor) =>
    applyHead(head, lastLayer, tokensFrom(tokens, 1).reshape([-1, encoder.dim])) // [2B N, K]
      .reshape([-1, patchCount, outputDim]);

  return {
    ...parts,
    networks: {
      ...parts.networks,
      mask: {
        shapes: { token: [1, 1, encoder.dim] },
        role: { by: 'gradient' },
        init: () => new Float32Array(encoder.dim),
      },
    },
    masks: {
      first: { title: 'masked in the first crop', role: 'predicted' },
      second: { title: 'masked in the second crop', role: 'predicted' },
    },
    draw(stream, imageCount) {
      const draw = () => {
        const values = new Float32Array(imageCount * patchCount);
        for (let image = 0; image < imageCount; image++) values.set(drawMask(options, stream), image * patchCount);
        return { shape: [imageCount, patchCount, 1], values };
      };
      const [first, second] = [draw(), draw()];
      const masked = [...first.values, ...second.values].reduce((sum, value) => sum + value, 0);
      const values = { first, second, ...drawBranches(stream, imageCount) };
      return { groups: [{ imageCount, masks: {}, values }], logs: { maskedPatches: masked / (2 * imageCount) } };
    },
    targets: ({ teacher, teacher_head, teacher_last_layer }, { views, state, rates }) =>
      tf.tidy(() => {
        const tokens = backbone.forward(teacher, largeCrops(views)); // [2B, 1 + N, D]
        const classes = applyHead(teacher_head, teacher_last_layer, classTokens(tokens)); // [2B, K]
        const patches = headOfPatches(teacher_head, teacher_last_layer, tokens); // [2B, N, K]
        return {
          ...classTargets(classes, state.centre, rates.teacherTemperature),
          patches: sharpened(patches, state.patchCentre, rates.patchTemperature),
          rawPatches: tf.addN(tf.split(patches.mean(1), 2)).div(2), // [B, K]
        };
      }),
    outputs({ encoder: student, head, last_layer, mask }, part) {
      const replace = { by: parameter(mask, 'token'), where: maskedPatches(part) };
      const branches = branchesOf(part.values.branches).large;
      const tokens = backbone.forward(student, largeCrops(part.views), { replace, branches }); // [2B, 1 + N, D]
      const classes = tf.concat([classTokens(tokens), ...classesOfSmall(student, part)]); // [C B, D]
      const patches = headOfPatches(head, last_layer, tokens).div(studentTemperature);
      return { ...classOutputs(applyHead(head, last_layer, classes)), patches: tf.logSoftmax(patches) };
    },
    terms: [
      classTerm(options.classWeight, options),
      {
        name: 'patchCrossEntropy',
        weight: options.patchWeight,
        over: 'images',
        /** Mean of -p log q over the masked patches of a crop, 0 where it has none, then over crops. */
        compute({ patches: logs }, { patches: probabilities }, part) {
          const where = maskedPatches(part).squeeze([2]); // [2B, N]
          const ofPatches = probabilities.mul(logs).sum(2).neg().mul(where); // [2B, N]
          return ofPatches
            .sum(1)
            .div(tf.maximum(where.sum(1), 1))
            .mean();
        },
      },
    ],
    state: {
      initial: { centre: zeros, patchCentre: zeros },
      statistics: (_outputs, { raw, rawPatches }, { fraction }) => ({
        mean: raw.mean(0).mul(fraction),
        patchMean: rawPatches.mean(0).mul(fraction),
      }),
      next: ({ centre, patchCentre }, { mean, patchMean }) => ({
        centre: nextCentre(centre, mean, centreMomentum),
        patchCentre: nextCentre(patchCentre, patchMean, centreMomentum),
      }),
    },
    rates: {
      ...parts.rates,
      patchTemperature: warmedUp(startPatchTemperature, patchTemperature, teacherWarmupEpochs, maskStartEpoch),
      masking: (step, { stepsPerEpoch }) => (step > maskStartEpoch * stepsPerEpoch ? 1 : 0),
    },
    logs: [
      targetEntropy,
      {
        name: 'patchEntropy',
        rows: (_outputs, { patches }) => tf.addN(tf.split(entropy(patches).mean(1), 2)).div(2), // [b]
        compute: (rows) => rows.mean(),
      },
    ],
  };
}

/** 1 for the masked patches of the large crops, [2B, N, 1]; there are none before the epoch that starts with them. */
function maskedPatches({ values, rates }: Part): Tensor {
  return tf.concat([values.first, values.second]).mul(rates.masking);
}
