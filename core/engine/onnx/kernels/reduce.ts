import { axesConstant, cast, record, scalarConstant, type Value } from '../graph.js';
import { unary } from './elementwise.js';
import { axesOf, axisOf, type Kernel, type KernelTable } from './table.js';

/** Operators that take axes together. */

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
    const shape = x.shape.filter((_, at) => at !== axis);
    return cast(record(operator, [x], shape, 'int64', { axis, keepdims: 0 }), 'int32');
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
