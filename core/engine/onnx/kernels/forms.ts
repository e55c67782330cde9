import { reshaped, scalarConstant, type Value } from '../graph.js';
import { add, unary } from './elementwise.js';
import type { Forms } from './fused.js';
import { gemm } from './reduce.js';
import { concat, gatherRows, rowNumbers, transpose, withoutFirst } from './shape.js';

/** What is fast in ONNX Runtime on a processor. */
export const ONNX_FORMS: Forms = {
  /**
   * The narrower one is transposed by itself: a product that transposes its first operand does so once for every 128
   * columns of the other, and is a seventh slower.
   */
  weightGradient(dy, x) {
    const [outputs, inputs] = [dy.shape[1], x.shape[1]];
    if (outputs <= inputs) return gemm(transpose(dy, [1, 0]), x);
    return transpose(gemm(transpose(x, [1, 0]), dy), [1, 0]);
  },

  halfOfOnePlus: (x) => unary('HardSigmoid', x, { alpha: { float: 0.5 }, beta: { float: 0.5 } }),

  splitHeads(qkv, heads, queryOffset) {
    const [images, tokens, width3] = qkv.shape as [number, number, number];
    const rows = reshaped(qkv, [images * tokens * 3 * heads, width3 / 3 / heads]);
    const queries = rowNumbers([images, tokens, 3 * heads], [0, 2, 1], heads); // [B, h, N]
    const keys = add(queries, scalarConstant(heads, 'int32'));
    const values = add(keys, scalarConstant(heads, 'int32'));
    const asked = queryOffset === 0 ? queries : withoutFirst(queries, queryOffset, 2);
    return [gatherRows(rows, asked), gatherRows(rows, keys), gatherRows(rows, values)];
  },

  exchangeMiddleAxes: (x) => gatherRows(x, rowNumbers(x.shape.slice(0, 3), [0, 2, 1])),

  joinHeads(parts) {
    const [images, heads, tokens] = (parts[0] as Value).shape as [number, number, number, number];
    return gatherRows(concat(parts, 0), rowNumbers([3, images, heads, tokens], [1, 3, 0, 2])); // [3B, h, N, d] -> [B, N, 3, h, d]
  },
};
