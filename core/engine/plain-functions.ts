import { type Tensor, tf } from './tf.js';

/**
 * What a function with a gradient of its own gives: its value, tensors that are kept for the gradient, and the gradients of
 * its inputs from that of its value.
 */
export interface Differentiable {
  value: Tensor;
  saved: Tensor[];
  gradFunc: (dy: Tensor, saved: Tensor[]) => Tensor[];
}

/**
 * The functions that a vision transformer is made of, on rows: what an engine may bring in a fused version. Shapes are
 * those of `functions.ts`, with all axes but the last as one axis of rows.
 */
export interface TransformerFunctions {
  /** How many numbers a layer may have so that the next one finds them in the processor's cache; default any. */
  readonly cachedNumbers?: number;
  /** x [M, I], weight [O, I], bias [O] -> [M, O] */
  linear(x: Tensor, weight: Tensor, bias: Tensor): Differentiable;
  /** x [M, D], scale [D], bias [D] -> [M, D] */
  layerNorm(x: Tensor, scale: Tensor, bias: Tensor, epsilon: number): Differentiable;
  /** x [M, D] -> [M, D], without gradient */
  normalise(x: Tensor, epsilon: number): Tensor;
  /** Any shape. */
  gelu(x: Tensor): Differentiable;
  /**
   * Two linear layers with GELU between them, where an engine has more than these three functions to offer.
   * x [M, D], the layers' weights [H, D] and [D, H], their biases [H] and [D] -> [M, D]
   */
  mlp?(x: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor): Differentiable;
  /**
   * qkv [B, N, 3D] -> [B, N - S, D]: of all tokens but the first S = `queryOffset`, which attend to all. Gradients of qkv
   * and, where it is given, of the scores' bias [h, N - S, N].
   */
  attention(qkv: Tensor, heads: number, queryOffset: number, bias?: Tensor): Differentiable;
  /** x, bit for bit, computed after the others, where an engine does not compute at once. Without gradient. */
  after?(x: Tensor, others: readonly Tensor[]): Tensor;
}

/** Fused versions by the name of the TensorFlow.js backend that has them. */
export const fusedFunctions = new Map<string, TransformerFunctions>();

/**
 * The functions made of plain operations, for every engine.
 *
 * Letters: M rows, I inputs, O outputs, D width, B images, N tokens, S of them without query, h heads, d = D / h.
 */
export const plainFunctions: TransformerFunctions = {
  linear: (x, weight, bias) => ({
    value: tf.matMul(x, weight, false, true).add(bias), // [M, O]
    saved: [x, weight],
    gradFunc(dy, saved) {
      const [x0, w0] = saved as [Tensor, Tensor];
      const ofInputs = tf.matMul(dy, w0); // [M, I]
      const ofWeight = tf.matMul(dy, x0, true, false); // [O, I]
      return [ofInputs, ofWeight, sumRows(dy)];
    },
  }),

  layerNorm(x, scale, bias, epsilon) {
    const { normalised, inverseStd } = standardise(x, epsilon); // [M, D], [M, 1]
    return {
      value: normalised.mul(scale).add(bias), // [M, D]
      saved: [normalised, inverseStd, scale],
      gradFunc: (dy, saved) => {
        const [n, r, s] = saved as [Tensor, Tensor, Tensor];
        const dn = dy.mul(s); // [M, D]
        const along = dn.mul(n).mean(-1, true); // [M, 1]
        const dx = dn.sub(dn.mean(-1, true)).sub(n.mul(along)).mul(r); // [M, D]
        return [dx, sumRows(dy.mul(n)), sumRows(dy)];
      },
    };
  },

  normalise: (x, epsilon) => standardise(x, epsilon).normalised,

  gelu(x) {
    const cumulative = tf.erf(x.mul(Math.SQRT1_2)).add(1).mul(0.5); // Φ(x)
    return {
      value: x.mul(cumulative),
      saved: [x, cumulative],
      gradFunc: (dy, saved) => {
        const [x0, phi] = saved as [Tensor, Tensor];
        const density = tf.exp(x0.square().mul(-0.5)).mul(1 / Math.sqrt(2 * Math.PI)); // Φ'(x)
        return [dy.mul(phi.add(x0.mul(density)))];
      },
    };
  },

  attention(qkv, heads, queryOffset, bias) {
    const [images, tokens, width3] = qkv.shape as [number, number, number];
    const headWidth = width3 / 3 / heads;
    const scale = 1 / Math.sqrt(headWidth);
    const [every, k, v] = splitHeads(qkv, heads); // each [B h, N, d]
    const q = queryOffset === 0 ? every : tf.slice(every, [0, queryOffset, 0], [-1, -1, -1]); // [B h, N - S, d]
    const products = tf.matMul(q, k, false, true).mul(scale); // [B h, N - S, N]
    const byImage = bias && products.reshape([-1, ...bias.shape]).add(bias); // [B, h, N - S, N]
    const weights = tf.softmax(byImage ? byImage.reshape(products.shape) : products); // [B h, N - S, N]
    return {
      value: mergeHeads(tf.matMul(weights, v), images), // [B, N - S, D]
      saved: [q, k, v, weights],
      gradFunc: (dy, saved) => {
        const [q0, k0, v0, p] = saved as [Tensor, Tensor, Tensor, Tensor];
        const dOut = moveHeadsOut(dy, heads).reshape([images * heads, tokens - queryOffset, headWidth]); // [B h, N - S, d]
        const dP = tf.matMul(dOut, v0, false, true); // [B h, N - S, N]
        const dScores = p.mul(dP.sub(dP.mul(p).sum(-1, true))); // [B h, N - S, N]
        const dProducts = dScores.mul(scale);
        const grad = tf.matMul(dProducts, k0); // [B h, N - S, d]
        const unasked = () => tf.zeros([images * heads, queryOffset, headWidth]);
        const dQ = queryOffset === 0 ? grad : tf.concat([unasked(), grad], 1); // [B h, N, d]
        const dK = tf.matMul(dProducts, q0, true, false); // [B h, N, d]
        const dV = tf.matMul(p, dOut, true, false); // [B h, N, d]
        const parts = [dQ, dK, dV].map((part) => part.reshape([images, -1])); // 3 x [B, h N d]
        const dQkv = mergeHeads(tf.concat(parts, 1).reshape([-1, tokens, headWidth]), images); // [B, N, 3D]
        return bias ? [dQkv, sumRows(dScores.reshape([images, bias.size])).reshape(bias.shape)] : [dQkv];
      },
    };
  },
};

/** Queries, keys and values, each [B h, N, d]: split where the parts lie in one piece, which copies fastest. */
function splitHeads(qkv: Tensor, heads: number): [Tensor, Tensor, Tensor] {
  const [images, tokens, width3] = qkv.shape as [number, number, number];
  const all = moveHeadsOut(qkv, 3 * heads).reshape([images, -1]); // [B, 3 h N d]
  const parts = tf.split(all, 3, 1).map((part) => part.reshape([images * heads, tokens, width3 / 3 / heads]));
  return parts as [Tensor, Tensor, Tensor];
}

/** [B, N, H d] -> [B, H, N, d] for any number H of heads. */
function moveHeadsOut(x: Tensor, heads: number): Tensor {
  const [images, tokens, width] = x.shape as [number, number, number];
  return x.reshape([images, tokens, heads, width / heads]).transpose([0, 2, 1, 3]);
}

/** [B H, N, d] -> [B, N, H d] */
function mergeHeads(x: Tensor, images: number): Tensor {
  const [rows, tokens, headWidth] = x.shape as [number, number, number];
  const heads = rows / images;
  return x
    .reshape([images, heads, tokens, headWidth])
    .transpose([0, 2, 1, 3]) // [B, N, H, d]
    .reshape([images, tokens, heads * headWidth]);
}

function standardise(rows: Tensor, epsilon: number): { normalised: Tensor; inverseStd: Tensor } {
  const centred = rows.sub(rows.mean(-1, true)); // [M, D]
  const inverseStd = tf.rsqrt(centred.square().mean(-1, true).add(epsilon)); // [M, 1]
  return { normalised: centred.mul(inverseStd), inverseStd };
}

/** Sum over rows, [M, D] -> [D], as a product with ones: many times faster than a reduction along the first axis. */
function sumRows(x: Tensor): Tensor {
  const [rows, width] = x.shape as [number, number];
  return tf.matMul(tf.ones([1, rows]), x).reshape([width]);
}
