import { type Tensor, tf } from './tf.js';

/*
 * The four functions that a vision transformer is made of, each with a gradient of its own. They are in one place so
 * that an engine can bring fused versions; these are made of plain operations and run on every engine.
 */

/**
 * y = x Wᵀ + b
 *
 * Letters: M rows, I inputs, O outputs.
 * @param x [..., I]
 * @param weight [O, I], as PyTorch stores it
 * @param bias [O]
 * @returns [..., O]
 */
export function linear(x: Tensor, weight: Tensor, bias: Tensor): Tensor {
  const inputs = last(x);
  const [outputs, expected] = weight.shape as [number, number];
  if (inputs !== expected) throw shapeError('linear', `x of width ${expected}`, x.shape);
  const rows = x.reshape([-1, inputs]); // [M, I]
  const y = withGradient([rows, weight, bias], (save) => {
    save([rows, weight]);
    return {
      value: tf.matMul(rows, weight, false, true).add(bias), // [M, O]
      gradFunc: (dy, saved) => {
        const [x0, w0] = saved as [Tensor, Tensor];
        return [
          tf.matMul(dy, w0), // [M, I]
          tf.matMul(dy, x0, true, false), // [O, I]
          sumRows(dy), // [O]
        ];
      },
    };
  });
  return y.reshape([...x.shape.slice(0, -1), outputs]);
}

/**
 * y = (x - mean) / sqrt(variance + epsilon) * scale + bias, over the last axis.
 *
 * Letters: M rows, D features.
 * @param x [..., D]
 * @param scale [D]
 * @param bias [D]
 * @returns [..., D]
 */
export function layerNorm(x: Tensor, scale: Tensor, bias: Tensor, epsilon: number): Tensor {
  const features = last(x);
  if (features !== scale.size) throw shapeError('layerNorm', `x of width ${scale.size}`, x.shape);
  const rows = x.reshape([-1, features]); // [M, D]
  const y = withGradient([rows, scale, bias], (save) => {
    const { normalised, inverseDeviation } = standardise(rows, epsilon); // [M, D], [M, 1]
    save([normalised, inverseDeviation, scale]);
    return {
      value: normalised.mul(scale).add(bias), // [M, D]
      gradFunc: (dy, saved) => {
        const [n, r, s] = saved as [Tensor, Tensor, Tensor];
        const dn = dy.mul(s); // [M, D]
        const along = dn.mul(n).mean(-1, true); // [M, 1]
        const dx = dn.sub(dn.mean(-1, true)).sub(n.mul(along)).mul(r); // [M, D]
        return [dx, sumRows(dy.mul(n)), sumRows(dy)];
      },
    };
  });
  return y.reshape(x.shape);
}

/**
 * Layer normalisation without scale and bias: (x - mean) / sqrt(variance + epsilon) over the last axis, [..., D].
 * No gradient of its own: the targets of the objective need none.
 */
export function normalise(x: Tensor, epsilon: number): Tensor {
  return tf.tidy(() => standardise(x.reshape([-1, last(x)]), epsilon).normalised.reshape(x.shape));
}

/**
 * The exact Gaussian error linear unit: y = x Φ(x), Φ(x) = (1 + erf(x / √2)) / 2. Any shape.
 */
export function gelu(x: Tensor): Tensor {
  return withGradient([x], (save) => {
    const cumulative = tf.erf(x.mul(Math.SQRT1_2)).add(1).mul(0.5); // Φ(x)
    save([x, cumulative]);
    return {
      value: x.mul(cumulative),
      gradFunc: (dy, saved) => {
        const [x0, phi] = saved as [Tensor, Tensor];
        const density = tf.exp(x0.square().mul(-0.5)).mul(1 / Math.sqrt(2 * Math.PI)); // Φ'(x)
        return [dy.mul(phi.add(x0.mul(density)))];
      },
    };
  });
}

/**
 * softmax(Q Kᵀ / √d) V for every head, heads side by side again at the end.
 *
 * Letters: B images, N tokens, D width, h heads, d = D / h.
 * @param qkv [B, N, 3D]: queries, keys and values of all heads, in this order (Vaswani et al. 2017, section 3.2)
 * @returns [B, N, D]
 */
export function attention(qkv: Tensor, heads: number): Tensor {
  const [images, tokens, width3] = qkv.shape as [number, number, number];
  const width = width3 / 3;
  const headWidth = width / heads;
  if (!Number.isInteger(headWidth)) throw shapeError('attention', `a width of 3 x ${heads} x whole number`, qkv.shape);
  const scale = 1 / Math.sqrt(headWidth);

  return withGradient([qkv], (save) => {
    const [q, k, v] = splitHeads(qkv, heads); // each [B h, N, d]
    const weights = tf.softmax(tf.matMul(q, k, false, true).mul(scale)); // [B h, N, N]
    save([q, k, v, weights]);
    return {
      value: mergeHeads(tf.matMul(weights, v), images), // [B, N, D]
      gradFunc: (dy, saved) => {
        const [q0, k0, v0, p] = saved as [Tensor, Tensor, Tensor, Tensor];
        const dOut = moveHeadsOut(dy, heads).reshape([images * heads, tokens, headWidth]); // [B h, N, d]
        const dP = tf.matMul(dOut, v0, false, true); // [B h, N, N]
        const dScores = p.mul(dP.sub(dP.mul(p).sum(-1, true))).mul(scale); // [B h, N, N]
        const dQ = tf.matMul(dScores, k0); // [B h, N, d]
        const dK = tf.matMul(dScores, q0, true, false); // [B h, N, d]
        const dV = tf.matMul(p, dOut, true, false); // [B h, N, d]
        const parts = [dQ, dK, dV].map((part) => part.reshape([images, -1])); // 3 x [B, h N d]
        return [mergeHeads(tf.concat(parts, 1).reshape([-1, tokens, headWidth]), images)]; // [B, N, 3D]
      },
    };
  });
}

/** What a function with a gradient of its own gives: its value, and the gradients of its inputs from that of its value. */
interface Differentiable {
  value: Tensor;
  gradFunc: (dy: Tensor, saved: Tensor[]) => Tensor[];
}

function withGradient(inputs: Tensor[], compute: (save: (tensors: Tensor[]) => void) => Differentiable): Tensor {
  return tf.customGrad((...args) => compute(args.at(-1) as (tensors: Tensor[]) => void))(...inputs);
}

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

function standardise(rows: Tensor, epsilon: number): { normalised: Tensor; inverseDeviation: Tensor } {
  const centred = rows.sub(rows.mean(-1, true)); // [M, D]
  const inverseDeviation = tf.rsqrt(centred.square().mean(-1, true).add(epsilon)); // [M, 1]
  return { normalised: centred.mul(inverseDeviation), inverseDeviation };
}

/** Sum over rows, [M, D] -> [D], as a product with ones: many times faster than a reduction along the first axis. */
function sumRows(x: Tensor): Tensor {
  const [rows, width] = x.shape as [number, number];
  return tf.matMul(tf.ones([1, rows]), x).reshape([width]);
}

function last(x: Tensor): number {
  return x.shape[x.shape.length - 1] as number;
}

function shapeError(name: string, expected: string, received: readonly number[]): Error {
  return new Error(`${name} expected ${expected}, received [${received.join(', ')}]`);
}
