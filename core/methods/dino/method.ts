import type { RandomStream } from '../../base/random.js';
import { encoderSize } from '../../config/settings.js';
import { type Tensor, tf } from '../../engine/tf.js';
import { type Backbone, createVit } from '../../nn/backbone.js';
import { encoderPass } from '../../nn/cost.js';
import { initialValue, lengthOf, type Parameters } from '../../nn/parameters.js';
import { applyHead, headProjections, lastLayerShapes, mlpShapes } from '../../nn/projection-head.js';
import { classTokens } from '../../nn/vit.js';
import { cosine } from '../../optim/schedules.js';
import { defineMethod, type Method, type NetworkSpec } from '../method.js';
import { emaDecay } from '../shared.js';
import { localSize, OPTIONS, type Own, PRESETS, sizeOfHead, teacherTemperature, viewsOf } from './options.js';

export default defineMethod({
  name: 'dino',
  title: 'DINO',
  summary: 'gives what its teacher makes of other crops of the image (Caron et al. 2021)',
  options: OPTIONS,
  defaults: { cropScale: [0.4, 1], flip: 0.5, jitter: 0.5, blur: 1, startLearningRate: 0, clipGradient: 3 },
  presets: PRESETS,
  architecture: () => ({ classToken: true, classFeatures: true }),
  create: (options, { backbone }) => dino(backbone, options),
  automatic: (options) => ({ localImageSize: localSize(options) }),
  describe: ({ outputDim, localCrops, teacherTemperature }) =>
    `cross-entropy of ${outputDim} outputs, teacher centred and sharpened by ${teacherTemperature}, ` +
    `2 crops and ${localCrops} small ones`,
  passes(options) {
    const { imageSize, patchSize, localCrops } = options;
    const size = { ...encoderSize(options), classToken: true };
    const [patches, local] = [(imageSize / patchSize) ** 2, (localSize(options) / patchSize) ** 2];
    const head = sizeOfHead(options);
    const student = encoderPass(size, patchSize, { rows: 2, patches, trained: true });
    const teacher = encoderPass(size, patchSize, { rows: 2, patches, trained: false });
    return [
      { ...teacher, projections: [...teacher.projections, ...headProjections(head, 2)] },
      { ...student, projections: [...student.projections, ...headProjections(head, 2 + localCrops)] },
      ...(localCrops > 0 ? [encoderPass(size, patchSize, { rows: localCrops, patches: local, trained: true })] : []),
    ];
  },
});

/** Of each image, [B, K]: log p of the student's view of either large crop, and the sum over all of its crops. */
type Outputs = { first: Tensor; second: Tensor; all: Tensor };
/** Of each image, [B, K]: the teacher's probabilities of the large crops, and the mean of its outputs for them. */
type Targets = { first: Tensor; second: Tensor; raw: Tensor };

/**
 * DINO (Caron et al. 2021, section 3): a student that sees a crop of an image gives the probabilities that its teacher, a
 * moving average of it, has for another; the teacher sees large crops alone. Its outputs are centred and sharpened, which
 * keeps both from giving the same for all images.
 *
 * Small crops get the positions of a large one's grid, interpolated, as in the official code; here they are fixed.
 * Letters: B images, C crops of each, D width, K outputs.
 */
export function dino(backbone: Backbone, options: Own): Method<Outputs, Targets> {
  const { encoder, shapes, patchSize, imageSize } = backbone;
  const { localCrops, studentTemperature, centreMomentum, outputDim, lastLayerFrozenEpochs } = options;
  const local = createVit({ imageSize: localSize(options), patchSize, encoder, trainedImageSize: imageSize });
  const crops = 2 + localCrops;
  const size = sizeOfHead(options);
  const init: NetworkSpec['init'] = (name, shape, stream) => firstValue(name, shape, stream, 3 * patchSize ** 2);
  const [mlp, lastLayer] = [mlpShapes(size), lastLayerShapes(size)];
  const followed = (of: string) => ({ by: 'ema', of, decay: 'emaDecay' }) as const;

  /** Class tokens of the large crops: the first ones of all images, then the second ones, [2B, D]. */
  const classesOfLarge = (parameters: Parameters, { first, second }: Readonly<Record<string, Tensor>>) =>
    classTokens(backbone.forward(parameters, tf.concat([first, second])));

  return {
    networks: {
      encoder: { shapes, role: { by: 'gradient' }, init },
      head: { shapes: mlp, role: { by: 'gradient' }, init },
      last_layer: { shapes: lastLayer, role: { by: 'gradient', steps: 'lastLayerSteps' }, init },
      teacher: { shapes, role: followed('encoder') },
      teacher_head: { shapes: mlp, role: followed('head') },
      teacher_last_layer: { shapes: lastLayer, role: followed('last_layer') },
    },
    views: viewsOf(options),
    encoders: { teacher: 'teacher', student: 'encoder' },
    sizes: { encoder },
    masks: {},
    targets: (networks, { views, state, rates }) =>
      tf.tidy(() => {
        const classes = classesOfLarge(networks.teacher, views); // [2B, D]
        const raw = applyHead(networks.teacher_head, networks.teacher_last_layer, classes); // [2B, K]
        const probabilities = tf.softmax(raw.sub(state.centre).div(rates.teacherTemperature));
        const [first, second] = tf.split(probabilities, 2); // [B, K]
        return { first, second, raw: tf.addN(tf.split(raw, 2)).div(2) };
      }),
    outputs(networks, { views }) {
      const large = classesOfLarge(networks.encoder, views); // [2B, D]
      const small = views.local ? [classTokens(local.forward(networks.encoder, views.local))] : []; // [(C - 2) B, D]
      const raw = applyHead(networks.head, networks.last_layer, tf.concat([large, ...small])); // [C B, K]
      const logs = tf.logSoftmax(raw.div(studentTemperature));
      const images = views.first.shape[0];
      const [first, second, others] = tf.split(logs, [images, images, localCrops * images].slice(0, 2 + small.length));
      const ofLarge = first.add(second); // [B, K]
      if (!others) return { first, second, all: ofLarge };
      return { first, second, all: ofLarge.add(others.reshape([images, localCrops, outputDim]).sum(1)) };
    },
    terms: [
      {
        name: 'crossEntropy',
        weight: 1,
        over: 'images',
        /** Mean of -Σ p log q over all pairs of a teacher's crop and another one of the student: 2 (C - 1). */
        compute(student, teacher) {
          const pairs = teacher.first.add(teacher.second).mul(student.all);
          const same = teacher.first.mul(student.first).add(teacher.second.mul(student.second));
          return same
            .sub(pairs)
            .sum(1)
            .mean()
            .div(2 * (crops - 1));
        },
      },
    ],
    state: {
      initial: { centre: { shape: [outputDim], values: new Float32Array(outputDim) } },
      statistics: (_outputs, { raw }, { fraction }) => ({ mean: raw.mean(0).mul(fraction) }),
      next: ({ centre }, { mean }) => ({ centre: centre.mul(centreMomentum).add(mean.mul(1 - centreMomentum)) }),
    },
    rates: {
      emaDecay: emaDecay(options, cosine),
      teacherTemperature: teacherTemperature(options),
      lastLayerSteps: (step, { stepsPerEpoch }) =>
        Math.max(0, step - Math.round(lastLayerFrozenEpochs * stepsPerEpoch)),
    },
    logs: [
      {
        name: 'targetEntropy',
        rows: (_outputs, { first, second }) => entropy(first).add(entropy(second)).div(2), // [b]
        compute: (rows) => rows.mean(),
      },
    ],
    dispose: () => local.dispose(),
  };
}

/** -Σ p log p in nats, of probabilities [B, K]: from 0 to log K, where targets no longer tell images apart. */
function entropy(probabilities: Tensor): Tensor {
  return probabilities.mul(probabilities.add(1e-30).log()).sum(1).neg();
}

/**
 * First values as in the official code: truncated normal with a standard deviation of 0.02 for linear weights and the class
 * token, biases 0, scales and lengths 1; the patch projection and the last layer's directions as PyTorch has them, uniform
 * ±1 / √inputs.
 */
function firstValue(name: string, shape: readonly number[], stream: RandomStream, patchValues: number) {
  const data = new Float32Array(lengthOf(shape));
  if (name === 'weight_g') return data.fill(1);
  const inputs = name.startsWith('patch_embed.') ? patchValues : name === 'weight_v' ? shape[1] : 0;
  if (inputs === 0) return initialValue(name, shape, stream, 'reference');
  return data.map(() => stream.uniform(-1, 1) / Math.sqrt(inputs));
}
