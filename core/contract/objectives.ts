import type { RandomStream } from '../base/random.js';
import type { Scalar, Tensor, tf } from '../engine/tf.js';

export type { Scalar, Tensor };
/** The program's own TensorFlow.js; tensors of another copy are not understood. */
export type TensorFlow = typeof tf;

/**
 * A distance of predicted and target representations.
 *
 * `compute` uses operations of `tf` that have gradients, and reads no tensor (`dataSync`, `arraySync`). It is not called
 * for every step: an engine may record what it does and repeat that with other data.
 */
export interface PredictionLoss {
  name: string;
  summary: string;
  /**
   * @param predicted M blocks of J patches with D features, [M, J, D]
   * @param target the same, without gradient
   * @returns a scalar, as a mean over blocks: a batch may be computed in parts
   */
  compute(tf: TensorFlow, predicted: Tensor, target: Tensor): Scalar;
}

/**
 * A term against collapse, on features of the encoder that is trained: of I-JEPA the context encoder's outputs, averaged
 * over patches. `compute` does as a loss does.
 */
export interface Regularizer<Names extends string = string> {
  name: string;
  summary: string;
  /** Numbers that are new in every step, by names; all that is random comes from here. */
  draw?(random: RandomNumbers, width: number): Readonly<Record<Names, DrawnNumbers>>;
  /**
   * @param pooled a row for each context or view of the whole batch, in an order that means nothing, [n, D]
   * @param drawn what `draw` gave, as tensors
   * @returns a scalar, which `--regularizer-weight` multiplies
   */
  compute(tf: TensorFlow, pooled: Tensor, drawn: Readonly<Record<Names, Tensor>>): Scalar;
}

/**
 * Discrete targets: what each patch of an image is called, as one of V tokens. No gradient is taken; of `tokens` the same
 * holds as of a loss's `compute`.
 */
export interface Tokenizer {
  name: string;
  summary: string;
  /** V */
  vocabularySize: number;
  /**
   * @param images colours from 0 to 1, [B, S, S, 3]
   * @param patchSize side of a patch, p; N = (S / p)² patches, row by row
   * @returns of each patch 1 for its token and 0 for the others, or probabilities of all: [B, N, V], float32
   */
  tokens(tf: TensorFlow, images: Tensor, patchSize: number): Tensor;
}

/** A stream of random numbers that depends on the run's seed and the step alone. */
export type RandomNumbers = Pick<RandomStream, 'uniform' | 'integer' | 'normal'>;

/** Numbers row by row. */
export type DrawnNumbers = { shape: readonly number[]; values: Float32Array };
