import { axesConstant, cast, record, scalarConstant, type Value } from '../graph.js';
import { unary } from './elementwise.js';
import { axesOf, axisOf, type Call, type Kernel, type KernelTable } from './table.js';

/** Operators that take axes together. */

export function reduce(operator: string, x: Value, axes: readonly number[], keepDims: boolean): Value {
  const kept = x.shape.map((side, axis) => (axes.includes(axis) ? 1 : side));
  const shape = keepDims ? kept : x.shape.filter((_, axis) => !axes.includes(axis));
  const attributes = { keepdims: keepDims ? 1 : 0, noop_with_empty_axes: 1 };
  return record(operator, [x, axesConstant(axes)], shape, x.type, attributes);
}

interface ReduceAttributes {
  axis?: number | number[];
  reductionIndices?: number | number[];
  keepDims: boolean;
}

const reduction =
  (operator: string, prepare: (x: Value) => Value = (x) => x): Kernel =>
  ({ value, attributes }: Call<ReduceAttributes>) => {
    const x = prepare(value('x'));
    return reduce(operator, x, axesOf(attributes.axis ?? attributes.reductionIndices, x.shape), attributes.keepDims);
  };

const extremePlace =
  (operator: string): Kernel =>
  ({ value, attributes }: Call<{ axis: number | number[] }>) => {
    const x = value('x');
    const [axis = 0] = axesOf(attributes.axis, x.shape);
    const shape = x.shape.filter((_, at) => at !== axis);
    return cast(record(operator, [x], shape, 'int64', { axis, keepdims: 0 }), 'int32');
  };

/** Whether all or any are true, by way of whole numbers: ONNX reduces no truth values. */
const truth =
  (operator: string): Kernel =>
  ({ value, attributes }: Call<ReduceAttributes>) => {
    const x = cast(value('x'), 'int32');
    const reduced = reduce(operator, x, axesOf(attributes.axis, x.shape), attributes.keepDims);
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
  Softmax: ({ value, attributes }) => {
    const x = value('logits');
    return unary('Softmax', x, { axis: axisOf(attributes.dim, x.shape.length) });
  },
  LogSoftmax: ({ value, attributes }) => {
    const x = value('logits');
    return unary('LogSoftmax', x, { axis: axisOf(attributes.axis ?? -1, x.shape.length) });
  },
  Cumsum: ({ value, attributes }) => {
    const x = value('x');
    const axis = scalarConstant(axisOf(attributes.axis, x.shape.length), 'int32');
    const flags = { exclusive: attributes.exclusive ? 1 : 0, reverse: attributes.reverse ? 1 : 0 };
    return record('CumSum', [x, axis], x.shape, x.type, flags);
  },
};
