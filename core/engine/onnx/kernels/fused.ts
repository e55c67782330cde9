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
import { concat } from './shape.js';

/*
 * Kernels of these engines' own: the functions of a transformer and their gradients, with the operators that the runtime
 * has for them.
 *
 * Letters: M rows, D width, H hidden width, B images, N tokens, S of them without query, h heads, d = D / h.
 */

/** What runtimes compute in ways of their own, because another one is slow there. */
export interface Forms {
  /** dyᵀ x, the gradient of a weight: dy [M, O], x [M, I] -> [O, I] */
  weightGradient(dy: Value, x: Value): Value;
  /** (1 + x) / 2 */
  halfOfOnePlus(x: Value): Value;
  /** qkv [B, N, 3D] -> queries [B, h, N - S, d], keys and values, each [B, h, N, d] */
  splitHeads(qkv: Value, heads: number, queryOffset: number): [Value, Value, Value];
  /** [B, N, h, d] -> [B, h, N, d], and back, as the shape's meaning is. */
  exchangeMiddleAxes(x: Value): Value;
  /** Gradients of queries, keys and values, [B, h, N, d] each -> [B, N, 3, h, d] */
  joinHeads(parts: readonly Value[]): Value;
}

/**
 * Sums over rows of matrices of as many rows, [M, D] -> [D] each, as products with ones: in ONNX Runtime twice as fast as a
 * reduction. OpenVINO leaves in float32 what follows the last product of a graph: a reduction and what it sums.
 */
function sumRows(...matrices: Value[]): Value[] {
  const ones = filled([1, (matrices[0] as Value).shape[0]], 1);
  return matrices.map((x) => flattened(batchMatMul(ones, x)));
}

/** x [M, D], scale and bias [D], or none */
function layerNorm({ x, scale, bias }: Inputs, epsilon: number): Value[] {
  const [rows, width] = x.shape as [number, number];
  const inputs = [x, scale ?? filled([width], 1), ...(bias ? [bias] : [])];
  const outputs = [x.shape, [rows, 1], [rows, 1]].map((shape) => ({ shape }));
  return recordAll('LayerNormalization', inputs, outputs, { axis: -1, epsilon: { float: epsilon } });
}

function layerNormGradient({ dy, x, scale, mean, inverseStd }: Inputs & { scale: Value }): Value[] {
  const width = x.shape[1];
  const normalised = multiply(subtract(x, mean), inverseStd); // [M, D]
  const product = multiply(dy, normalised); // [M, D]
  // Means over a row of dy scale and of dy n scale, as products with scale / D.
  const weights = flattened(multiply(scale, scalarConstant(1 / width)), [-1, 1]); // [D, 1]
  const meanGrad = batchMatMul(dy, weights); // [M, 1]
  const meanProduct = batchMatMul(product, weights); // [M, 1]
  const inner = subtract(subtract(multiply(dy, scale), meanGrad), multiply(normalised, meanProduct)); // [M, D]
  return [multiply(inner, inverseStd), ...sumRows(product, dy)];
}

/** Φ(x) and Φ(x) + x Φ'(x); with u = x / √2: Φ(x) = (1 + erf u) / 2, x Φ'(x) = u exp(-u²) / √π = u exp(-ln √π - u²) */
function geluParts(forms: Forms, x: Value): { cumulative: Value; grad: Value } {
  const u = multiply(x, scalarConstant(Math.SQRT1_2));
  const cumulative = forms.halfOfOnePlus(unary('Erf', u));
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
function mlpGradient(forms: Forms, { dy, x, weight1, weight2, hidden }: Inputs): Value[] {
  const { cumulative, grad } = geluParts(forms, hidden);
  const dh = multiply(gemm(dy, weight2), grad); // [M, H]
  const activated = multiply(hidden, cumulative); // [M, H]
  const [ofBias1, ofBias2] = sumRows(dh, dy);
  return [gemm(dh, weight1), forms.weightGradient(dh, x), ofBias1, forms.weightGradient(dy, activated), ofBias2];
}

/** qkv [B, N, 3D], bias [h, N - S, N] or none */
function attention(forms: Forms, { qkv, bias }: Inputs, heads: number, queryOffset: number): Value[] {
  const [images, tokens, width3] = qkv.shape as [number, number, number];
  const [q, k, v] = forms.splitHeads(qkv, heads, queryOffset);
  const alpha = 1 / Math.sqrt(q.shape[3]);
  const products = batchMatMul(q, k, { transposeB: true, alpha }); // [B, h, N - S, N]
  const weights = unary('Softmax', bias ? add(products, bias) : products, { axis: 3 }); // [B, h, N - S, N]
  const attended = batchMatMul(weights, v); // [B, h, N - S, d]
  const merged = reshaped(forms.exchangeMiddleAxes(attended), [images, tokens - queryOffset, width3 / 3]);
  return [merged, q, k, v, weights, attended];
}

/** @returns gradients of qkv, and of the bias where there is one */
function attentionGradient(forms: Forms, { dy, q, k, v, weights, attended }: Inputs, hasBias: boolean): Value[] {
  const [images, heads, tokens, headWidth] = k.shape as [number, number, number, number];
  const queries = q.shape[2]; // N - S
  const alpha = 1 / Math.sqrt(headWidth);
  const grad = forms.exchangeMiddleAxes(reshaped(dy, [images, queries, heads, headWidth])); // [B, h, N - S, d]
  const along = reduce('ReduceSum', multiply(grad, attended), [3], true); // [B, h, N - S, 1]
  const scores = multiply(weights, subtract(batchMatMul(grad, v, { transposeB: true }), along)); // [B, h, N - S, N]
  const ofQueries = batchMatMul(scores, k, { alpha });
  const parts = [
    queries === tokens ? ofQueries : concat([filled([images, heads, tokens - queries, headWidth], 0), ofQueries], 2),
    batchMatMul(scores, q, { transposeA: true, alpha }),
    batchMatMul(weights, grad, { transposeA: true }),
  ]; // [B, h, N, d] each
  const ofQkv = reshaped(forms.joinHeads(parts), [images, tokens, 3 * heads * headWidth]);
  if (!hasBias) return [ofQkv];
  const pairs = [heads, queries, tokens];
  const [ofBias] = sumRows(reshaped(scores, [images, sizeOf(pairs)]));
  return [ofQkv, reshaped(ofBias as Value, pairs)];
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

/** The kernels of a transformer's functions, in a runtime's own forms. */
export function transformerKernels(forms: Forms): KernelTable {
  return {
    After: ({ x, ...others }, _, __, backend) => backend.register(after(x, Object.values(others)), x.shape),
    Linear: ({ x, weight, bias }) => [linear(x, weight, bias as Value)],
    LinearGradient: ({ dy, x, weight }) => [gemm(dy, weight), forms.weightGradient(dy, x), ...sumRows(dy)],
    LayerNorm: (inputs, { epsilon }) => layerNorm(inputs, epsilon),
    LayerNormGradient: (inputs) => layerNormGradient(inputs as Inputs & { scale: Value }),
    Gelu: ({ x }) => [gelu(x)],
    GeluGradient: ({ dy, x }) => [multiply(dy, geluParts(forms, x).grad)],
    Mlp: mlp,
    MlpGradient: (inputs) => mlpGradient(forms, inputs),
    Attention: (inputs, { heads, queryOffset }) => attention(forms, inputs, heads, queryOffset),
    AttentionGradient: (inputs, { hasBias }) => attentionGradient(forms, inputs, hasBias),
  };
}

type NamedTensors = Readonly<Record<string, Tensor>>;

/** The functions of a transformer by these kernels. */
export const TRANSFORMER_FUNCTIONS: TransformerFunctions = {
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
