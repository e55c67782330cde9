import type { DeviceName } from '../../contract.js';
import type { Differentiable, TransformerFunctions } from '../../plain-functions.js';
import { type Tensor, tf } from '../../tf.js';
import type { Inputs, KernelTable } from '../backend.js';
import {
  axesConstant,
  filled,
  flattened,
  MICROSOFT,
  record,
  recordAll,
  reshaped,
  scalarConstant,
  sizeOf,
  type Value,
} from '../graph.js';
import { add, multiply, subtract, unary } from './elementwise.js';
import { batchMatMul, gemm, linear, reduce } from './reduce.js';
import { concat, gatherRows, rowNumbers, transpose, withoutFirst } from './shape.js';

/*
 * Kernels of this engine's own: the functions of a transformer and their gradients, with the operators that ONNX Runtime
 * has for them.
 *
 * Letters: M rows, D width, B images, N tokens, S of them without query, h heads, d = D / h.
 */

/**
 * dyᵀ x, the gradient of a weight: dy [M, O], x [M, I] -> [O, I].
 *
 * The narrower one is transposed by itself: a product that transposes its first operand does so once for every 128
 * columns of the other, and is a seventh slower.
 */
function weightGradient(dy: Value, x: Value): Value {
  const [outputs, inputs] = [dy.shape[1], x.shape[1]];
  if (outputs <= inputs) return gemm(transpose(dy, [1, 0]), x);
  return transpose(gemm(transpose(x, [1, 0]), dy), [1, 0]);
}

/** Sum over rows, [M, D] -> [D], as a product with ones: twice as fast as a reduction along the first axis. */
function sumRows(x: Value, ones = filled([1, x.shape[0]], 1)): Value {
  return flattened(batchMatMul(ones, x));
}

/** x [M, D], scale and bias [D], or none */
function layerNorm({ x, scale, bias }: Inputs, epsilon: number): Value[] {
  const [rows, width] = x.shape as [number, number];
  const inputs = [x, scale ?? filled([width], 1), ...(bias ? [bias] : [])];
  const outputs = [x.shape, [rows, 1], [rows, 1]].map((shape) => ({ shape }));
  return recordAll('LayerNormalization', inputs, outputs, { axis: -1, epsilon: { float: epsilon } });
}

function layerNormGradient({ dy, x, scale, mean, inverseStd }: Inputs & { scale: Value }): Value[] {
  const [rows, width] = x.shape as [number, number];
  const normalised = multiply(subtract(x, mean), inverseStd); // [M, D]
  const product = multiply(dy, normalised); // [M, D]
  // Means over a row of dy scale and of dy n scale, as products with scale / D.
  const weights = flattened(multiply(scale, scalarConstant(1 / width)), [-1, 1]); // [D, 1]
  const meanGrad = batchMatMul(dy, weights); // [M, 1]
  const meanProduct = batchMatMul(product, weights); // [M, 1]
  const inner = subtract(subtract(multiply(dy, scale), meanGrad), multiply(normalised, meanProduct)); // [M, D]
  const ones = filled([1, rows], 1);
  return [multiply(inner, inverseStd), sumRows(product, ones), sumRows(dy, ones)];
}

/** Φ(x) and Φ(x) + x Φ'(x); with u = x / √2: Φ(x) = (1 + erf u) / 2, x Φ'(x) = u exp(-u²) / √π = u exp(-ln √π - u²) */
function geluParts(x: Value): { cumulative: Value; grad: Value } {
  const u = multiply(x, scalarConstant(Math.SQRT1_2));
  const half = { alpha: { float: 0.5 }, beta: { float: 0.5 } };
  const cumulative = unary('HardSigmoid', unary('Erf', u), half);
  const density = unary('Exp', subtract(scalarConstant(-Math.log(Math.PI) / 2), multiply(u, u)));
  return { cumulative, grad: add(cumulative, multiply(u, density)) };
}

const gelu = (x: Value) => unary('Gelu', x, {}, MICROSOFT);

/**
 * GELU(x W₁ᵀ + b₁) W₂ᵀ + b₂
 * @returns y [M, D], and the hidden layer before GELU, [M, H]
 */
function mlp({ x, weight1, bias1, weight2, bias2 }: Inputs): Value[] {
  const hidden = linear(x, weight1, bias1);
  return [linear(gelu(hidden), weight2, bias2), hidden];
}

/** @returns gradients of x, W₁, b₁, W₂ and b₂ */
function mlpGradient({ dy, x, weight1, weight2, hidden }: Inputs): Value[] {
  const { cumulative, grad } = geluParts(hidden);
  const dh = multiply(gemm(dy, weight2), grad); // [M, H]
  const activated = multiply(hidden, cumulative); // [M, H]
  const ones = filled([1, x.shape[0]], 1);
  return [
    gemm(dh, weight1),
    weightGradient(dh, x),
    sumRows(dh, ones),
    weightGradient(dy, activated),
    sumRows(dy, ones),
  ];
}

/** [B, N, 3D] -> queries [B, h, N - S, d], keys and values, each [B, h, N, d] */
function splitHeads(qkv: Value, heads: number, queryOffset: number): [Value, Value, Value] {
  const [images, tokens, width3] = qkv.shape as [number, number, number];
  const rows = reshaped(qkv, [images * tokens * 3 * heads, width3 / 3 / heads]);
  const queries = rowNumbers([images, tokens, 3 * heads], [0, 2, 1], heads); // [B, h, N]
  const keys = add(queries, scalarConstant(heads, 'int32'));
  const values = add(keys, scalarConstant(heads, 'int32'));
  const asked = queryOffset === 0 ? queries : withoutFirst(queries, queryOffset, 2);
  return [gatherRows(rows, asked), gatherRows(rows, keys), gatherRows(rows, values)];
}

/** [B, N, h, d] -> [B, h, N, d], and back, as the shape's meaning is. */
function exchangeMiddleAxes(x: Value): Value {
  return gatherRows(x, rowNumbers(x.shape.slice(0, 3), [0, 2, 1]));
}

/** qkv [B, N, 3D], bias [h, N - S, N] or none */
function attention({ qkv, bias }: Inputs, heads: number, queryOffset: number): Value[] {
  const [images, tokens, width3] = qkv.shape as [number, number, number];
  const [q, k, v] = splitHeads(qkv, heads, queryOffset);
  const alpha = 1 / Math.sqrt(q.shape[3]);
  const products = batchMatMul(q, k, { transposeB: true, alpha }); // [B, h, N - S, N]
  const weights = unary('Softmax', bias ? add(products, bias) : products, { axis: 3 }); // [B, h, N - S, N]
  const attended = batchMatMul(weights, v); // [B, h, N - S, d]
  const merged = reshaped(exchangeMiddleAxes(attended), [images, tokens - queryOffset, width3 / 3]);
  return [merged, q, k, v, weights, attended];
}

/** @returns gradients of qkv, and of the bias where there is one */
function attentionGradient({ dy, q, k, v, weights, attended }: Inputs, hasBias: boolean): Value[] {
  const [images, heads, tokens, headWidth] = k.shape as [number, number, number, number];
  const queries = q.shape[2]; // N - S
  const alpha = 1 / Math.sqrt(headWidth);
  const grad = exchangeMiddleAxes(reshaped(dy, [images, queries, heads, headWidth])); // [B, h, N - S, d]
  const along = reduce('ReduceSum', multiply(grad, attended), [3], true); // [B, h, N - S, 1]
  const scores = multiply(weights, subtract(batchMatMul(grad, v, { transposeB: true }), along)); // [B, h, N - S, N]
  const ofQueries = batchMatMul(scores, k, { alpha });
  const parts = [
    queries === tokens ? ofQueries : concat([filled([images, heads, tokens - queries, headWidth], 0), ofQueries], 2),
    batchMatMul(scores, q, { transposeA: true, alpha }),
    batchMatMul(weights, grad, { transposeA: true }),
  ]; // [B, h, N, d] each
  const numbers = rowNumbers([3, images, heads, tokens], [1, 3, 0, 2]); // [B, N, 3, h]
  const together = gatherRows(concat(parts, 0), numbers); // [3B, h, N, d] -> [B, N, 3, h, d]
  const ofQkv = reshaped(together, [images, tokens, 3 * heads * headWidth]);
  if (!hasBias) return [ofQkv];
  const pairs = [heads, queries, tokens];
  return [ofQkv, reshaped(sumRows(reshaped(scores, [images, sizeOf(pairs)])), pairs)];
}

/**
 * x before one number of each of the others, which are cut off again: two copies of x. Optimisers find nothing in it that
 * could be left out, as they would in a sum with 0 times the others, and no two computations that begin so are the same.
 */
function after(x: Value, others: readonly Value[]): Value {
  const vector = (value: Value) => (value.shape.length === 1 ? value : flattened(value));
  const [start, one, end] = [0, 1, -others.length].map((place) => axesConstant([place]));
  const firsts = others.map((other) => record('Slice', [vector(other), start, one], [1]));
  return record('Slice', [concat([vector(x), ...firsts], 0), start, end], [sizeOf(x.shape)]);
}

export const FUSED: KernelTable = {
  After: ({ x, ...others }, _, __, backend) => backend.register(after(x, Object.values(others)), x.shape),
  Linear: ({ x, weight, bias }) => [linear(x, weight, bias as Value)],
  LinearGradient: ({ dy, x, weight }) => [gemm(dy, weight), weightGradient(dy, x), sumRows(dy)],
  LayerNorm: (inputs, { epsilon }) => layerNorm(inputs, epsilon),
  LayerNormGradient: (inputs) => layerNormGradient(inputs as Inputs & { scale: Value }),
  Gelu: ({ x }) => [gelu(x)],
  GeluGradient: ({ dy, x }) => [multiply(dy, geluParts(x).grad)],
  Mlp: mlp,
  MlpGradient: mlpGradient,
  Attention: (inputs, { heads, queryOffset }) => attention(inputs, heads, queryOffset),
  AttentionGradient: (inputs, { hasBias }) => attentionGradient(inputs, hasBias),
};

/** Numbers of a layer that stay in a processor's cache. */
const CACHED = 1.25e6;

/** The functions of a transformer on a device; a graphics card gains nothing from tiles that fit a processor's cache. */
export function functionsOn(device: DeviceName): TransformerFunctions {
  return device === 'cpu' ? { ...onnxFunctions, cachedNumbers: CACHED } : onnxFunctions;
}

type NamedTensors = Readonly<Record<string, Tensor>>;

const onnxFunctions: TransformerFunctions = {
  linear: (x, weight, bias) => fused('Linear', { x, weight, bias }, ['x', 'weight']),
  layerNorm: (x, scale, bias, epsilon) =>
    fused('LayerNorm', { x, scale, bias }, ['x', 'scale'], ['mean', 'inverseStd'], { epsilon }),
  normalise: (x, epsilon) => run('LayerNorm', { x }, { epsilon })[0],
  gelu: (x) => fused('Gelu', { x }, ['x']),
  mlp: (x, weight1, bias1, weight2, bias2) =>
    fused('Mlp', { x, weight1, bias1, weight2, bias2 }, ['x', 'weight1', 'weight2'], ['hidden']),
  attention(qkv, heads, queryOffset, bias) {
    const attributes = { heads, queryOffset, hasBias: bias !== undefined };
    return fused('Attention', bias ? { qkv, bias } : { qkv }, [], ['q', 'k', 'v', 'weights', 'attended'], attributes);
  },
  after: (x, others) => tf.engine().runKernel('After', { x, ...Object.fromEntries(others.entries()) }) as Tensor,
};

/**
 * A function by two kernels, `kernel` and `kernel`Gradient, which take the same attributes. The first one's first output is
 * the value.
 * @param kept inputs that the gradient needs besides that of the value
 * @param others names of the other outputs, all of which it needs
 */
function fused(
  kernel: string,
  inputs: NamedTensors,
  kept: readonly string[],
  others: readonly string[] = [],
  attributes: object = {},
): Differentiable {
  const [value, ...rest] = run(kernel, inputs, attributes) as [Tensor, ...Tensor[]];
  const names = [...kept, ...others];
  return {
    value,
    saved: [...kept.map((name) => inputs[name]), ...rest],
    gradFunc(dy, saved) {
      const tensors = Object.fromEntries(names.map((name, at) => [name, saved[at]]));
      return run(`${kernel}Gradient`, { dy, ...tensors }, attributes);
    },
  };
}

function run(kernel: string, inputs: NamedTensors, attributes: object): Tensor[] {
  return tf.engine().runKernel(kernel, inputs, { ...attributes }) as Tensor[];
}
