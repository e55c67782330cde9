import type { Tensor } from './tf.js';

/** What a function with a gradient of its own gives: its value, and the gradients of its inputs from that of its value. */
export interface Differentiable {
  value: Tensor;
  gradFunc: (dy: Tensor, saved: Tensor[]) => Tensor[];
}

/** Keeps tensors for the gradient. */
export type Save = (tensors: Tensor[]) => void;

/**
 * The functions that a vision transformer is made of, on rows: what an engine may bring in a fused version. Shapes are
 * those of `functions.ts`, with all axes but the last as one axis of rows.
 */
export interface TransformerFunctions {
  /** How many numbers a layer may have so that the next one finds them in the processor's cache; default any. */
  readonly cachedNumbers?: number;
  /** x [M, I], weight [O, I], bias [O] -> [M, O] */
  linear(save: Save, x: Tensor, weight: Tensor, bias: Tensor): Differentiable;
  /** x [M, D], scale [D], bias [D] -> [M, D] */
  layerNorm(save: Save, x: Tensor, scale: Tensor, bias: Tensor, epsilon: number): Differentiable;
  /** x [M, D] -> [M, D], without gradient */
  normalise(x: Tensor, epsilon: number): Tensor;
  /** Any shape. */
  gelu(save: Save, x: Tensor): Differentiable;
  /**
   * Two linear layers with GELU between them, where an engine has more than these three functions to offer.
   * x [M, D], the layers' weights [H, D] and [D, H], their biases [H] and [D] -> [M, D]
   */
  mlp?(save: Save, x: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor): Differentiable;
  /**
   * qkv [B, N, 3D] -> [B, N - S, D]: of all tokens but the first S = `queryOffset`, which attend to all. Gradients of qkv
   * and, where it is given, of the scores' bias [h, N - S, N].
   */
  attention(save: Save, qkv: Tensor, heads: number, queryOffset: number, bias?: Tensor): Differentiable;
}

/** Fused versions by the name of the TensorFlow.js backend that has them. */
export const fusedFunctions = new Map<string, TransformerFunctions>();
