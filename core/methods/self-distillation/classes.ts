import type { RandomStream } from '../../base/random.js';
import { encoderShape } from '../../config/settings.js';
import type { DrawnNumbers } from '../../contract/objectives.js';
import { type Tensor, tf } from '../../engine/tf.js';
import type { ImageEncoder } from '../../nn/backbone.js';
import { imagePass, type Pass } from '../../nn/cost.js';
import { initialValue, lengthOf, type Parameters } from '../../nn/parameters.js';
import { headProjections, lastLayerShapes, mlpShapes } from '../../nn/projection-head.js';
import { isResNet } from '../../nn/sizes.js';
import { cosine } from '../../optim/schedules.js';
import type { LogColumn, Method, NetworkSpec, Part, Rate, Term } from '../method.js';
import { averageOf, emaDecay, entropy } from '../shared.js';
import { branchesOf, drawBranches } from './drop-path.js';
import { localSize, type SelfDistillationOptions, sizeOfHead, viewsOf, warmedUp } from './options.js';

/** Arrays [.., K] that are held at once: outputs and probabilities; outputs, log p, and the gradients of both. */
const [OF_TEACHER, OF_STUDENT] = [2, 4];

/** Of each image, [B, K]: log p of the student's view of either large crop, and the sum over all of its crops. */
export type ClassOutputs = { first: Tensor; second: Tensor; all: Tensor };
/** Of each image, [B, K]: the teacher's probabilities of the large crops, and the mean of its outputs for them. */
export type ClassTargets = { first: Tensor; second: Tensor; raw: Tensor };

/**
 * What methods share in which a student gives the probabilities that its teacher, a moving average of it, has for another
 * crop of the image (DINO, Caron et al. 2021, section 3): networks, crops, the loss of class tokens. The teacher sees two
 * large crops, the student small ones as well.
 *
 * Small crops get the positions of a large one's grid, interpolated, as in the official code; here they are fixed.
 * Letters: B images, C crops of each, D width, K outputs.
 */
export function selfDistillation(whole: ImageEncoder, options: SelfDistillationOptions) {
  const { encoder, shapes, patchSize } = whole;
  const { localCrops, studentTemperature, outputDim, lastLayerFrozenEpochs, dropPath } = options;
  const { startTeacherTemperature, teacherTemperature, teacherWarmupEpochs } = options;
  const local = whole.atSize(localSize(options));
  const size = sizeOfHead(options);
  const [mlp, lastLayer] = [mlpShapes(size), lastLayerShapes(size)];
  const init: NetworkSpec['init'] = (name, shape, stream) => firstValue(name, shape, stream, 3 * patchSize ** 2);
  const lastLayerSteps: Rate = (step, { stepsPerEpoch }) =>
    Math.max(0, step - Math.round(lastLayerFrozenEpochs * stepsPerEpoch));

  return {
    /** Parts of a `Method`. */
    networks: {
      encoder: { shapes, role: { by: 'gradient' }, init },
      head: { shapes: mlp, role: { by: 'gradient' }, init },
      last_layer: { shapes: lastLayer, role: { by: 'gradient', steps: 'lastLayerSteps' }, init },
      teacher: { shapes, role: averageOf('encoder') },
      teacher_head: { shapes: mlp, role: averageOf('head') },
      teacher_last_layer: { shapes: lastLayer, role: averageOf('last_layer') },
    } satisfies Method['networks'],
    views: viewsOf(options),
    encoders: { teacher: 'teacher', student: 'encoder' },
    sizes: { encoder },
    rates: {
      emaDecay: emaDecay(options, cosine),
      teacherTemperature: warmedUp(startTeacherTemperature, teacherTemperature, teacherWarmupEpochs),
      lastLayerSteps,
    },
    dispose: () => local.dispose(),

    /** Which branches of a student's blocks are dropped: values of a part; residual networks have none. */
    drawBranches: (stream: RandomStream, images: number): Record<string, DrawnNumbers> =>
      dropPath > 0 && !isResNet(encoder)
        ? { branches: drawBranches(stream, { images, crops: 2 + localCrops, depth: encoder.depth, dropPath }) }
        : {},

    /** The student's features of the large crops: the first ones of all images, then the second ones, [2B, D]. */
    classesOfLarge: (student: Parameters, { views, values }: Part): Tensor =>
      whole.features(student, largeCrops(views), 1, branchesOf(values.branches).large),

    /** Those of the small crops, where there are some: the crops of an image side by side, [(C - 2) B, D]. */
    classesOfSmall: (student: Parameters, { views, values }: Part): Tensor[] =>
      views.local ? [local.features(student, views.local, 1, branchesOf(values.branches).small)] : [],

    /**
     * @param raw the student's outputs of class tokens: the first crops of all images, the second ones, the small ones,
     * [C B, K]
     */
    classOutputs(raw: Tensor): ClassOutputs {
      const images = (raw.shape[0] as number) / (2 + localCrops);
      const logs = tf.logSoftmax(raw.div(studentTemperature));
      const [first, second, others] = tf.split(
        logs,
        [images, images, localCrops * images].slice(0, localCrops > 0 ? 3 : 2),
      );
      const ofLarge = first.add(second); // [B, K]
      if (!others) return { first, second, all: ofLarge };
      return { first, second, all: ofLarge.add(others.reshape([images, localCrops, outputDim]).sum(1)) };
    },
  };
}

/** The first crops of all images, then the second ones: [2B, S, S, 3]. */
export function largeCrops({ first, second }: Readonly<Record<string, Tensor>>): Tensor {
  return tf.concat([first, second]);
}

/** The teacher's probabilities: its outputs are centred and sharpened, which keeps it from giving the same for all images. */
export function sharpened(raw: Tensor, centre: Tensor, temperature: Tensor): Tensor {
  return tf.softmax(raw.sub(centre).div(temperature));
}

/** @param raw the teacher's outputs of class tokens: the first crops of all images, then the second ones, [2B, K] */
export function classTargets(raw: Tensor, centre: Tensor, temperature: Tensor): ClassTargets {
  const [first, second] = tf.split(sharpened(raw, centre, temperature), 2); // [B, K]
  return { first, second, raw: tf.addN(tf.split(raw, 2)).div(2) };
}

/** Mean of -Σ p log q over all pairs of a teacher's crop and another one of the student: 2 (C - 1). */
export function classTerm(weight: number, { localCrops }: SelfDistillationOptions): Term<ClassOutputs, ClassTargets> {
  return {
    name: 'crossEntropy',
    weight,
    over: 'images',
    compute(student, teacher) {
      const pairs = teacher.first.add(teacher.second).mul(student.all);
      const same = teacher.first.mul(student.first).add(teacher.second.mul(student.second));
      return same
        .sub(pairs)
        .sum(1)
        .mean()
        .div(2 * (1 + localCrops));
    },
  };
}

/** A centre after a step: c ← m c + (1 - m) mean of the teacher's outputs. */
export function nextCentre(centre: Tensor, mean: Tensor, momentum: number): Tensor {
  return centre.mul(momentum).add(mean.mul(1 - momentum));
}

/** -Σ p log p of the teacher's probabilities, in nats: from 0 to log K, where targets no longer tell images apart. */
export const targetEntropy: LogColumn<ClassOutputs, ClassTargets> = {
  name: 'targetEntropy',
  rows: (_outputs, { first, second }) => entropy(first).add(entropy(second)).div(2), // [b]
  compute: (rows) => rows.mean(),
};

/**
 * The passes of a step for one image.
 * @param patches of a large crop that go through the head beside the class token
 */
export function selfDistillationPasses(options: SelfDistillationOptions, patchesInHead: boolean): Pass[] {
  const { localCrops } = options;
  const { encoder: size, ...shape } = encoderShape(options);
  const encoder = isResNet(size) ? size : { ...size, classToken: true };
  const local = { ...shape, imageSize: localSize(options), encoder };
  const large = 2 * (1 + (patchesInHead ? (shape.imageSize / shape.patchSize) ** 2 : 0));
  const head = sizeOfHead(options);
  const student = imagePass({ ...shape, encoder }, { rows: 2, trained: true });
  const teacher = imagePass({ ...shape, encoder }, { rows: 2, trained: false });
  return [
    { ...teacher, projections: [...teacher.projections, ...headProjections(head, large, OF_TEACHER)] },
    { ...student, projections: [...student.projections, ...headProjections(head, large + localCrops, OF_STUDENT)] },
    ...(localCrops > 0 ? [imagePass(local, { rows: localCrops, trained: true })] : []),
  ];
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
