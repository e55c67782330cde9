import type { AdamSettings, Engine } from '../engine/contract.js';
import { type Tensor, tf } from '../engine/tf.js';
import { adamw } from './adamw.js';
import { type Optimiser, plainUpdate } from './optimiser.js';

export type MuonSettings = AdamSettings & {
  /** r, the learning rate of matrices relative to that of the rest. */ readonly matrixRate: number;
};

const MOMENTUM = 0.95;

/** Steps of the Newton-Schulz iteration, and its polynomial a X + b (X Xᵀ) X + c (X Xᵀ)² X (Jordan et al. 2024). */
const ITERATIONS = 5;
const [A, B, C] = [3.4445, -4.775, 2.0315];
const EPSILON = 1e-7;

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
  const updateMatrix = plainUpdate(engine, ({ value, velocity }, gradient, { kept, learned }: RateTensors) => {
    const moving = velocity.mul(MOMENTUM).add(gradient.mul(1 - MOMENTUM));
    const direction = orthogonal(moving.mul(MOMENTUM).add(gradient.mul(1 - MOMENTUM)));
    return { value: value.mul(kept).sub(direction.mul(learned)), velocity: moving };
  });
  return {
    name: 'muon',
    slotNames: others.slotNames,
    async update(state, gradient, rates) {
      const { value, slots, averages } = state;
      if (value.shape.length !== 2) return others.update(state, gradient, rates);
      const { learningRate, weightDecay, emaDecays } = rates;
      const given = {
        kept: tf.scalar(1 - learningRate * weightDecay),
        learned: tf.scalar(ADAMW_RMS * Math.sqrt(Math.max(...value.shape)) * settings.matrixRate * learningRate),
      };
      const moving = { value, velocity: slots.first, averages };
      const { velocity: first, ...next } = await updateMatrix(moving, gradient, given, emaDecays);
      return { ...next, slots: { first, second: slots.second } };
    },
  };
}

type RateTensors = { kept: Tensor; learned: Tensor };

/** About U Vᵀ of a matrix's singular value decomposition U S Vᵀ: its singular values end between 0.5 and 1.5. */
function orthogonal(matrix: Tensor): Tensor {
  const [rows, columns] = matrix.shape as [number, number];
  const isTall = rows > columns;
  let x = isTall ? matrix.transpose() : matrix;
  x = x.div(tf.maximum(x.square().sum().sqrt(), EPSILON));
  for (let iteration = 0; iteration < ITERATIONS; iteration++) {
    const gram = tf.matMul(x, x, false, true);
    const factor = gram.mul(B).add(tf.matMul(gram, gram).mul(C));
    x = x.mul(A).add(tf.matMul(factor, x));
  }
  return isTall ? x.transpose() : x;
}
