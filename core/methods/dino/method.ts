import type { RandomStream } from '../../base/random.js';
import { encoderShape } from '../../config/settings.js';
import { type Tensor, tf } from '../../engine/tf.js';
import type { ImageEncoder } from '../../nn/backbone.js';
import { imagePass } from '../../nn/cost.js';
import { initialValue, lengthOf, type Parameters } from '../../nn/parameters.js';
import { applyHead, headProjections, lastLayerShapes, mlpShapes } from '../../nn/projection-head.js';
import { isResNet } from '../../nn/sizes.js';
import { cosine } from '../../optim/schedules.js';
import { defineMethod, type Method, type NetworkSpec } from '../method.js';
import { emaDecay, entropy } from '../shared.js';
import { localSize, OPTIONS, type Own, PRESETS, sizeOfHead, teacherTemperature, viewsOf } from './options.js';

export default defineMethod({
  name: 'dino',
  title: 'DINO',
  summary: 'gives what its teacher makes of other crops of the image (Caron et al. 2021)',
  options: OPTIONS,
  defaults: { cropScale: [0.4, 1], flip: 0.5, jitter: 0.5, blur: 1, startLearningRate: 0 },
  presets: PRESETS,
  architecture: () => ({ classToken: true, classFeatures: true }),
  acceptsResNet: true,
  create: (options, { encoder }) => dino(encoder, options),
  automatic: (options) => ({ localImageSize: localSize(options) }),
  describe: ({ outputDim, localCrops, teacherTemperature }) =>
    `cross-entropy of ${outputDim} outputs, teacher centred and sharpened by ${teacherTemperature}, ` +
    `2 crops and ${localCrops} small ones`,
  passes(options) {
    const { localCrops } = options;
    const { encoder: size, ...shape } = encoderShape(options);
    const encoder = isResNet(size) ? size : { ...size, classToken: true };
    const local = { ...shape, imageSize: localSize(options), encoder };
    const head = sizeOfHead(options);
    const student = imagePass({ ...shape, encoder }, { rows: 2, trained: true });
    const teacher = imagePass({ ...shape, encoder }, { rows: 2, trained: false });
    return [
      { ...teacher, projections: [...teacher.projections, ...headProjections(head, 2)] },
      { ...student, projections: [...student.projections, ...headProjections(head, 2 + localCrops)] },
      ...(localCrops > 0 ? [imagePass(local, { rows: localCrops, trained: true })] : []),
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
export function dino(whole: ImageEncoder, options: Own): Method<Outputs, Targets> {
  const { encoder, shapes, patchSize } = whole;
  const { localCrops, studentTemperature, centreMomentum, outputDim, lastLayerFrozenEpochs } = options;
  const local = whole.atSize(localSize(options));
  const crops = 2 + localCrops;
  const size = sizeOfHead(options);
  const init: NetworkSpec['init'] = (name, shape, stream) => firstValue(name, shape, stream, 3 * patchSize ** 2);
  const [mlp, lastLayer] = [mlpShapes(size), lastLayerShapes(size)];
  const followed = (of: string) => ({ by: 'ema', of, decay: 'emaDecay' }) as const;

  /** Features of the large crops: the first ones of all images, then the second ones, [2B, D]. */
  const ofLarge = (parameters: Parameters, { first, second }: Readonly<Record<string, Tensor>>) =>
    whole.features(parameters, tf.concat([first, second]), 1);

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
        const large = ofLarge(networks.teacher, views); // [2B, D]
        const raw = applyHead(networks.teacher_head, networks.teacher_last_layer, large); // [2B, K]
        const probabilities = tf.softmax(raw.sub(state.centre).div(rates.teacherTemperature));
        const [first, second] = tf.split(probabilities, 2); // [B, K]
        return { first, second, raw: tf.addN(tf.split(raw, 2)).div(2) };
      }),
    outputs(networks, { views }) {
      const large = ofLarge(networks.encoder, views); // [2B, D]
      const small = views.local ? [local.features(networks.encoder, views.local, 1)] : []; // [(C - 2) B, D]
      const raw = applyHead(networks.head, networks.last_layer, tf.concat([large, ...small])); // [C B, K]
      const logs = tf.logSoftmax(raw.div(studentTemperature));
      const images = views.first.shape[0];
      const [first, second, others] = tf.split(logs, [images, images, localCrops * images].slice(0, 2 + small.length));
      const ofBoth = first.add(second); // [B, K]
      if (!others) return { first, second, all: ofBoth };
      return { first, second, all: ofBoth.add(others.reshape([images, localCrops, outputDim]).sum(1)) };
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
