import { type Differentiable, fusedFunctions, plainFunctions, type TransformerFunctions } from './plain-functions.js';
import { type Tensor, tf } from './tf.js';

/*
 * The functions that a vision transformer is made of, each with a gradient of its own. Engines may bring fused
 * versions; on the rest they are made of plain operations.
 */

/**
 * y = x Wᵀ + b
 *
 * Letters: I inputs, O outputs.
 * @param x [..., I]
 * @param weight [O, I], as PyTorch stores it
 * @param bias [O]
 * @returns [..., O]
 */
export function linear(x: Tensor, weight: Tensor, bias: Tensor): Tensor {
  const inputs = last(x);
  const [outputs, expected] = weight.shape as [number, number];
  if (inputs !== expected) throw shapeError('linear', `x of width ${expected}`, x.shape);
  const rows = x.reshape([-1, inputs]);
  const y = withGradient([rows, weight, bias], () => active().linear(rows, weight, bias));
  return y.reshape([...x.shape.slice(0, -1), outputs]);
}

/**
 * y = (x - mean) / sqrt(variance + epsilon) * scale + bias, over the last axis.
 *
 * Letters: D features.
 * @param x [..., D]
 * @param scale [D]
 * @param bias [D]
 * @returns [..., D]
 */
export function layerNorm(x: Tensor, scale: Tensor, bias: Tensor, epsilon: number): Tensor {
  const features = last(x);
  if (features !== scale.size) throw shapeError('layerNorm', `x of width ${scale.size}`, x.shape);
  const rows = x.reshape([-1, features]);
  const y = withGradient([rows, scale, bias], () => active().layerNorm(rows, scale, bias, epsilon));
  return y.reshape(x.shape);
}

/**
 * Layer normalisation without scale and bias: (x - mean) / sqrt(variance + epsilon) over the last axis, [..., D].
 * No gradient of its own: the targets of the objective need none.
 */
export function normalise(x: Tensor, epsilon: number): Tensor {
  return tf.tidy(() =>
    active()
      .normalise(x.reshape([-1, last(x)]), epsilon)
      .reshape(x.shape),
  );
}

/**
 * The exact Gaussian error linear unit: y = x Φ(x), Φ(x) = (1 + erf(x / √2)) / 2. Any shape.
 */
export function gelu(x: Tensor): Tensor {
  return withGradient([x], () => active().gelu(x));
}

/**
 * The feed-forward part of a transformer's block: GELU(x W₁ᵀ + b₁) W₂ᵀ + b₂.
 *
 * Letters: D width, H hidden width.
 * @param x [..., D]
 * @param first weight W₁ [H, D] and bias b₁ [H]
 * @param second weight W₂ [D, H] and bias b₂ [D]
 * @returns [..., D]
 */
export function mlp(x: Tensor, first: LinearParameters, second: LinearParameters): Tensor {
  const fused = active().mlp;
  if (!fused) return linear(gelu(linear(x, first.weight, first.bias)), second.weight, second.bias);
  const [hidden, width] = first.weight.shape as [number, number];
  if (last(x) !== width) throw shapeError('mlp', `x of width ${width}`, x.shape);
  if (second.weight.shape[1] !== hidden) throw shapeError('mlp', `${hidden} inputs of W₂`, second.weight.shape);
  const inputs = [x.reshape([-1, width]), first.weight, first.bias, second.weight, second.bias] as const;
  const y = withGradient([...inputs], () => fused(...inputs));
  return y.reshape([...x.shape.slice(0, -1), second.weight.shape[0]]);
}

/** Of a linear layer with I inputs and O outputs: weight [O, I], as PyTorch stores it, and bias [O]. */
export type LinearParameters = { weight: Tensor; bias: Tensor };

/**
 * softmax(Q Kᵀ / √d + b) V for every head, heads side by side again at the end.
 *
 * Letters: B images, N tokens, D width, h heads, d = D / h.
 * @param qkv [B, N, 3D]: queries, keys and values of all heads, in this order (Vaswani et al. 2017, section 3.2)
 * @param queryOffset the first tokens, S, whose own results are not needed; the others attend to them all the same
 * @param bias b, [h, N - S, N], the same for all images; default: none
 * @returns [B, N - S, D]
 */
export function attention(qkv: Tensor, heads: number, queryOffset = 0, bias?: Tensor): Tensor {
  const width = last(qkv) / 3;
  if (!Number.isInteger(width / heads)) {
    throw shapeError('attention', `a width of 3 x ${heads} x whole number`, qkv.shape);
  }
  const tokens = qkv.shape[1] as number;
  const pairs = [heads, tokens - queryOffset, tokens];
  if (bias && bias.shape.join() !== pairs.join()) throw shapeError('attention', `a bias of [${pairs}]`, bias.shape);
  return withGradient(bias ? [qkv, bias] : [qkv], () => active().attention(qkv, heads, queryOffset, bias));
}

/** Each tile of a batch is a part of the graph, and large graphs take long to compile. */
const MAX_TILES = 4;

/**
 * Applies a function that treats each image of a batch by itself: to all at once, or to some images after the others
 * where the engine is faster so.
 * @param inputs [B, ...] each
 * @param numbersPerImage of the widest layer. Only this and B decide on the tiles, which engines may compile: it should
 *   not follow what varies from batch to batch
 * @param apply of some images of all inputs
 * @returns what it gives for all images, [B, ...] each
 */
export function tileBatch(
  inputs: readonly Tensor[],
  numbersPerImage: number,
  apply: (tile: readonly Tensor[]) => Tensor[],
): Tensor[] {
  const images = inputs[0]?.shape[0] ?? 0;
  const { cachedNumbers = Number.POSITIVE_INFINITY } = active();
  const tiles = Math.min(MAX_TILES, images, Math.ceil((images * numbersPerImage) / cachedNumbers));
  if (tiles <= 1) return apply(inputs);
  const start = (tile: number) => Math.floor((tile * images) / tiles);
  const sizes = Array.from({ length: tiles }, (_, tile) => start(tile + 1) - start(tile));
  return tf.tidy(() => {
    const pieces = inputs.map((input) => tf.split(input, sizes, 0));
    const results = sizes.map((_, tile) => apply(pieces.map((piece) => piece[tile])));
    return results[0].map((_, at) => tf.concat(results.map((result) => result[at])));
  });
}

/** x, but not before the others are computed, where an engine chooses the order in which it computes. Any shapes. */
export function after(x: Tensor, others: readonly Tensor[]): Tensor {
  return active().after?.(x, others) ?? x;
}

function active(): TransformerFunctions {
  return fusedFunctions.get(tf.getBackend()) ?? plainFunctions;
}

function withGradient(inputs: Tensor[], compute: () => Differentiable): Tensor {
  return tf.customGrad((...args) => {
    const { saved, ...result } = compute();
    (args.at(-1) as (tensors: Tensor[]) => void)(saved);
    return result;
  })(...inputs);
}

function last(x: Tensor): number {
  return x.shape[x.shape.length - 1];
}

function shapeError(name: string, expected: string, received: readonly number[]): Error {
  return new Error(`${name} expected ${expected}, received [${received.join(', ')}]`);
}
