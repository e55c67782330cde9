import { axesConstant, record, reshaped, scalarConstant, type Value } from '../onnx/graph.js';
import { add, multiply } from '../onnx/kernels/elementwise.js';
import type { Forms } from '../onnx/kernels/fused.js';
import { gemm } from '../onnx/kernels/reduce.js';
import { concat, split, transpose, withoutFirst } from '../onnx/kernels/shape.js';

/** What OpenVINO joins with its neighbours. */
export const OPENVINO_FORMS: Forms = {
  weightGradient: (dy, x) => gemm(transpose(dy, [1, 0]), x),

  halfOfOnePlus: (x) => add(multiply(x, scalarConstant(0.5)), scalarConstant(0.5)),

  splitHeads(qkv, heads, queryOffset) {
    const [images, tokens, width3] = qkv.shape as [number, number, number];
    const apart = reshaped(qkv, [images, tokens, 3, heads, width3 / 3 / heads]);
    const [queries, keys, values] = split(transpose(apart, [2, 0, 3, 1, 4]), [1, 1, 1], 0).map(withoutFirstAxis);
    return [queryOffset === 0 ? queries : withoutFirst(queries, queryOffset, 2), keys, values];
  },

  exchangeMiddleAxes: (x) => transpose(x, [0, 2, 1, 3]),

  joinHeads: (parts) => transpose(concat(parts.map(withFirstAxis), 0), [1, 3, 0, 2, 4]),
};

const withoutFirstAxis = (x: Value) => record('Squeeze', [x, axesConstant([0])], x.shape.slice(1), x.type);
const withFirstAxis = (x: Value) => record('Unsqueeze', [x, axesConstant([0])], [1, ...x.shape], x.type);
