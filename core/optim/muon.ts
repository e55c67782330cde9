import type { AdamSettings, Engine } from '../engine/contract.js';
import { type Tensor, tf } from '../engine/tf.js';
import { adamw } from './adamw.js';
import { type Optimiser, type ParameterStep, type PlainStep, plainUpdate, type UpdatedParameter } from './optimiser.js';

export type MuonSettings = AdamSettings & {
  /** r, the learning rate of matrices relative to that of the rest. */ readonly matrixRate: number;
};

const MOMENTUM = 0.95;

/** Steps of the Newton-Schulz iteration, and its polynomial a X + b (X Xᵀ) X + c (X Xᵀ)² X (Jordan et al. 2024). */
const ITERATIONS = 5;
const [A, B, C] = [3.4445, -4.775, 2.0315];
const EPSILON = 1e-7;

/** Most numbers of matrices that are computed together, but for a larger one alone. */
const TOGETHER = 2 ** 20;

/** Root mean square of what AdamW's steps have, to which those of matrices are brought (Liu et al. 2025, section 2.2). */
const ADAMW_RMS = 0.2;

/**
 * Muon (Jordan et al. 2024; PyTorch's, with `match_rms_adamw`): steps of matrices [m, n] are momentum whose singular values are
 * all brought to about 1, so that no direction is learned much faster than the others:
 *
 *   M ← μ M + (1 - μ) G;  U = μ M + (1 - μ) G;  O ≈ (U Uᵀ)^(-1/2) U
 *   W ← (1 - η λ) W - 0.2 √max(m, n) r η O
 *
 * Everything else, the patch embedding, biases and scales among it, takes AdamW's steps with η. It keeps M as `first`; `second` of
 * matrices stays 0. The iteration is computed in float32.
 */
export function muon(engine: Pick<Engine, 'updateParameter' | 'compile'>, settings: MuonSettings): Optimiser {
  const others = adamw(engine, settings);
  const updateMatrices = plainUpdate(engine, (matrices: readonly PlainStep<RateTensors>[]) => {
    const moving = matrices.map(({ velocity, gradient }) => velocity.mul(MOMENTUM).add(gradient.mul(1 - MOMENTUM)));
    const directions = orthogonal(
      matrices.map(({ gradient }, at) => moving[at].mul(MOMENTUM).add(gradient.mul(1 - MOMENTUM))),
    );
    return matrices.map(({ value, rates: { kept, learned } }, at) => ({
      value: value.mul(kept).sub(directions[at].mul(learned)),
      velocity: moving[at],
    }));
  });
  const updateTogether = async (matrices: readonly ParameterStep[]): Promise<UpdatedParameter[]> => {
    const updated = await updateMatrices(
      matrices.map(({ value, slots: { first }, averages, gradient, rates: { learningRate, weightDecay } }) => ({
        value,
        velocity: first,
        averages,
        gradient,
        rates: {
          kept: tf.scalar(1 - learningRate * weightDecay),
          learned: tf.scalar(ADAMW_RMS * Math.sqrt(Math.max(...value.shape)) * settings.matrixRate * learningRate),
        },
      })),
      matrices.map(({ rates }) => rates.emaDecays),
    );
    return updated.map(({ velocity: first, ...next }, at) => ({
      ...next,
      slots: { first, second: matrices[at].slots.second },
    }));
  };
  return {
    name: 'muon',
    slotNames: others.slotNames,
    groups: ofSameSides,
    update: (group) => (isMatrix(group[0].value.shape) ? updateTogether(group) : others.update(group)),
  };
}

type RateTensors = { kept: Tensor; learned: Tensor };

const isMatrix = (shape: readonly number[]) => shape.length === 2;

/** Matrices of the same sides, whichever is the longer one; what is no matrix is alone. */
function ofSameSides(shapes: readonly (readonly number[])[]): number[][] {
  const groups: number[][] = [];
  const newest = new Map<string, number[]>();
  for (const [at, shape] of shapes.entries()) {
    const [shorter, longer] = [Math.min(...shape), Math.max(...shape)];
    const key = isMatrix(shape) ? `${shorter} x ${longer}` : `${at}`;
    const group = newest.get(key);
    if (group && (group.length + 1) * shorter * longer <= TOGETHER) group.push(at);
    else {
      const own = [at];
      groups.push(own);
      newest.set(key, own);
    }
  }
  return groups;
}

/**
 * About U Vᵀ of each matrix's singular value decomposition U S Vᵀ: its singular values end between 0.5 and 1.5. Every step of the
 * iteration multiplies X by a polynomial P of G = X Xᵀ, so that G alone goes through it, G ← P G P, and X takes the product of all P
 * at the end: for matrices that are not square that is less work.
 * @param matrices of the same sides, m ≤ n, in either order
 */
function orthogonal(matrices: readonly Tensor[]): Tensor[] {
  const isTall = matrices.map(({ shape: [rows, columns] }) => (rows as number) > (columns as number));
  const x = tf.stack(matrices.map((matrix, at) => (isTall[at] ? matrix.transpose() : matrix))); // [k, m, n]
  const unit = x.div(tf.maximum(x.square().sum([1, 2], true).sqrt(), EPSILON));
  let gram = tf.matMul(unit, unit, false, true); // [k, m, m]
  const linear = tf.eye(gram.shape[1] as number).mul(A);
  let product: Tensor | undefined;
  for (let iteration = 1; iteration <= ITERATIONS; iteration++) {
    const polynomial = tf.matMul(gram, gram).mul(C).add(gram.mul(B)).add(linear);
    product = product ? tf.matMul(polynomial, product) : polynomial;
    if (iteration < ITERATIONS) gram = tf.matMul(polynomial, tf.matMul(gram, polynomial));
  }
  const result = tf.unstack(tf.matMul(product as Tensor, unit));
  return result.map((matrix, at) => (isTall[at] ? matrix.transpose() : matrix));
}
