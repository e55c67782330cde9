import type { Kernel, KernelTable } from '../backend.js';
import {
  axesConstant,
  axesOf,
  axisOf,
  broadcast,
  cast,
  MICROSOFT,
  record,
  scalarConstant,
  type Value,
} from '../graph.js';
import { add, unary } from './elementwise.js';

/** Products of matrices, and operators that take axes together. */

type ProductOptions = { transposeA?: boolean; transposeB?: boolean; alpha?: number };

/** Products of the last two axes, times `alpha`; those before are batches, with broadcasting. */
export function batchMatMul(a: Value, b: Value, options: ProductOptions = {}): Value {
  const { transposeA = false, transposeB = false, alpha = 1 } = options;
  const rows = a.shape.at(transposeA ? -1 : -2) as number;
  const columns = b.shape.at(transposeB ? -2 : -1) as number;
  const shape = [...broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2)), rows, columns];
  if (!transposeA && !transposeB && alpha === 1) return record('MatMul', [a, b], shape);
  const attributes = { alpha: { float: alpha }, transA: Number(transposeA), transB: Number(transposeB) };
  return record('FusedMatMul', [a, b], shape, 'float32', attributes, MICROSOFT);
}

/** a b of two matrices. */
export function gemm(a: Value, b: Value): Value {
  return record('Gemm', [a, b], [a.shape[0], b.shape[1]]);
}

/** x Wᵀ + b of rows: x [M, I], weight [O, I], bias [O] -> [M, O] */
export function linear(x: Value, weight: Value, bias: Value): Value {
  const shape = [x.shape[0], weight.shape[0]];
  return record('Gemm', [x, weight, bias], shape, 'float32', { transB: 1 });
}

export function reduce(operator: string, x: Value, axes: readonly number[], keepDims: boolean): Value {
  const kept = x.shape.map((side, axis) => (axes.includes(axis) ? 1 : side));
  const shape = keepDims ? kept : x.shape.filter((_, axis) => !axes.includes(axis));
  const attributes = { keepdims: keepDims ? 1 : 0, noop_with_empty_axes: 1 };
  return record(operator, [x, axesConstant(axes)], shape, x.type, attributes);
}

const reduction =
  (operator: string, prepare: (x: Value) => Value = (x) => x): Kernel =>
  (inputs, { axis, reductionIndices, keepDims }) => {
    const x = prepare(inputs.x);
    return reduce(operator, x, axesOf(axis ?? reductionIndices, x.shape), keepDims);
  };

const extremePlace =
  (operator: string): Kernel =>
  ({ x }, attributes) => {
    const [axis = 0] = axesOf(attributes.axis, x.shape);
    return cast(record(operator, [x], x.shape.toSpliced(axis, 1), 'int64', { axis, keepdims: 0 }), 'int32');
  };

/** Whether all or any are true, by way of whole numbers: ONNX reduces no truth values. */
const truth =
  (operator: string): Kernel =>
  ({ x }, { axis, keepDims }) => {
    const reduced = reduce(operator, cast(x, 'int32'), axesOf(axis, x.shape), keepDims);
    return record('Greater', [reduced, scalarConstant(0, 'int32')], reduced.shape, 'bool');
  };

const summable = (x: Value) => (x.type === 'bool' ? cast(x, 'int32') : x);

export const REDUCE: KernelTable = {
  BatchMatMul: ({ a, b }, attributes) => batchMatMul(a, b, attributes),
  _FusedMatMul: ({ a, b, bias }, attributes) => {
    const { activation } = attributes;
    const product = bias ? add(batchMatMul(a, b, attributes), bias) : batchMatMul(a, b, attributes);
    if (!activation || activation === 'linear') return product;
    if (activation === 'relu') return unary('Relu', product);
    if (activation === 'sigmoid') return unary('Sigmoid', product);
    throw new Error(`the engine onnx has no fused product with the activation ${activation}`);
  },
  Sum: reduction('ReduceSum', summable),
  Prod: reduction('ReduceProd', summable),
  Mean: reduction('ReduceMean', (x) => cast(x, 'float32')),
  Max: reduction('ReduceMax'),
  Min: reduction('ReduceMin'),
  All: truth('ReduceMin'),
  Any: truth('ReduceMax'),
  ArgMax: extremePlace('ArgMax'),
  ArgMin: extremePlace('ArgMin'),
  Softmax: ({ logits }, { dim }) => unary('Softmax', logits, { axis: axisOf(dim, logits.shape.length) }),
  LogSoftmax: ({ logits }, { axis = -1 }) => unary('LogSoftmax', logits, { axis: axisOf(axis, logits.shape.length) }),
  Cumsum: ({ x }, { axis, exclusive, reverse }) => {
    const along = scalarConstant(axisOf(axis, x.shape.length), 'int32');
    return record('CumSum', [x, along], x.shape, x.type, { exclusive: Number(exclusive), reverse: Number(reverse) });
  },
};
