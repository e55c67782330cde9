import { filled, MICROSOFT, recordAll, reshaped, scalarConstant, type Value } from '../graph.js';
import { add, multiply, subtract, unary } from './elementwise.js';
import { batchMatMul, gemm } from './matmul.js';
import { reduce } from './reduce.js';
import { concat, split, transpose } from './shape.js';
import type { Call, KernelTable } from './table.js';

/*
 * Kernels of this engine's own: the functions of a transformer and their gradients, with the operators that ONNX Runtime
 * has for them.
 *
 * Letters: M rows, D width, B images, N tokens, h heads, d = D / h.
 */

/** Sum over rows, [M, D] -> [D], as a product with ones: twice as fast as a reduction along the first axis. */
function sumRows(x: Value): Value {
  const [rows, width] = x.shape as [number, number];
  return reshaped(batchMatMul(filled([1, rows], 1), x), [width]);
}

function layerNorm({ value, optional, attributes }: Call<{ epsilon: number }>): Value[] {
  const x = value('x'); // [M, D]
  const [rows, width] = x.shape as [number, number];
  const scale = optional('scale') ?? filled([width], 1);
  const bias = optional('bias');
  const statistics = { shape: [rows, 1] };
  return recordAll(
    'LayerNormalization',
    bias ? [x, scale, bias] : [x, scale],
    [{ shape: x.shape }, statistics, statistics],
    {
      axis: -1,
      epsilon: { float: attributes.epsilon },
    },
  );
}

function layerNormGradient({ value }: Call): Value[] {
  const [dy, x, scale, mean, inverseDeviation] = ['dy', 'x', 'scale', 'mean', 'inverseDeviation'].map(value) as [
    Value,
    Value,
    Value,
    Value,
    Value,
  ];
  const width = x.shape[1] as number;
  const normalised = multiply(subtract(x, mean), inverseDeviation); // [M, D]
  const product = multiply(dy, normalised); // [M, D]
  // Means over a row of dy scale and of dy n scale, as products with scale / D.
  const share = reshaped(multiply(scale, scalarConstant(1 / width)), [width, 1]); // [D, 1]
  const meanSlope = batchMatMul(dy, share); // [M, 1]
  const meanProduct = batchMatMul(product, share); // [M, 1]
  const inner = subtract(subtract(multiply(dy, scale), meanSlope), multiply(normalised, meanProduct)); // [M, D]
  return [multiply(inner, inverseDeviation), sumRows(product), sumRows(dy)];
}

/** Φ(x) + x Φ'(x), times dy. */
function geluGradient({ value }: Call): Value {
  const x = value('x');
  const half = { alpha: { float: 0.5 }, beta: { float: 0.5 } };
  const cumulative = unary('HardSigmoid', unary('Erf', multiply(x, scalarConstant(Math.SQRT1_2))), half); // (1 + erf) / 2
  const density = unary('Exp', multiply(multiply(x, x), scalarConstant(-0.5)));
  const slope = add(cumulative, multiply(multiply(x, density), scalarConstant(1 / Math.sqrt(2 * Math.PI))));
  return multiply(value('dy'), slope);
}

/** [B, N, 3D] -> queries, keys and values, each [B, h, N, d] */
function splitHeads(qkv: Value, heads: number): [Value, Value, Value] {
  const [images, tokens, width3] = qkv.shape as [number, number, number];
  const headWidth = width3 / 3 / heads;
  const parted = transpose(reshaped(qkv, [images, tokens, 3, heads, headWidth]), [2, 0, 3, 1, 4]); // [3, B, h, N, d]
  const shape = [images, heads, tokens, headWidth];
  return split(parted, [1, 1, 1], 0).map((part) => reshaped(part, shape)) as [Value, Value, Value];
}

function attention({ value, attributes }: Call<{ heads: number }>): Value[] {
  const qkv = value('qkv');
  const [images, tokens, width3] = qkv.shape as [number, number, number];
  const [q, k, v] = splitHeads(qkv, attributes.heads);
  const alpha = 1 / Math.sqrt(q.shape[3] as number);
  const weights = unary('Softmax', batchMatMul(q, k, { transposeB: true, alpha }), { axis: 3 }); // [B, h, N, N]
  const attended = batchMatMul(weights, v); // [B, h, N, d]
  const merged = reshaped(transpose(attended, [0, 2, 1, 3]), [images, tokens, width3 / 3]);
  return [merged, q, k, v, weights, attended];
}

function attentionGradient({ value }: Call): Value {
  const [dy, q, k, v, weights, attended] = ['dy', 'q', 'k', 'v', 'weights', 'attended'].map(value) as [
    Value,
    Value,
    Value,
    Value,
    Value,
    Value,
  ];
  const [images, heads, tokens, headWidth] = q.shape as [number, number, number, number];
  const alpha = 1 / Math.sqrt(headWidth);
  const slope = transpose(reshaped(dy, [images, tokens, heads, headWidth]), [0, 2, 1, 3]); // [B, h, N, d]
  const along = reduce('ReduceSum', multiply(slope, attended), [3], true); // [B, h, N, 1]
  const scores = multiply(weights, subtract(batchMatMul(slope, v, { transposeB: true }), along)); // [B, h, N, N]
  const parts = [
    batchMatMul(scores, k, { alpha }),
    batchMatMul(scores, q, { transposeA: true, alpha }),
    batchMatMul(weights, slope, { transposeA: true }),
  ].map((part) => reshaped(part, [1, images, heads, tokens, headWidth]));
  const together = transpose(concat(parts, 0), [1, 3, 0, 2, 4]); // [B, N, 3, h, d]
  return reshaped(together, [images, tokens, 3 * heads * headWidth]);
}

export const FUSED: KernelTable = {
  Linear: ({ value, optional }) => gemm(value('x'), value('weight'), optional('bias'), { transposeB: true }),
  LinearGradient: ({ value }) => {
    const [dy, x, weight] = [value('dy'), value('x'), value('weight')];
    return [gemm(dy, weight, null), gemm(dy, x, null, { transposeA: true }), sumRows(dy)];
  },
  LayerNorm: layerNorm,
  LayerNormGradient: layerNormGradient,
  Gelu: ({ value }) => unary('Gelu', value('x'), {}, MICROSOFT),
  GeluGradient: geluGradient,
  Attention: attention,
  AttentionGradient: attentionGradient,
};
