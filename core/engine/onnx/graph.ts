import { type DataType, tf } from '../tf.js';
import { type Attributes, ELEMENT_TYPES } from './model-format.js';
import type { ArrayPool } from './pool.js';

/** Element types of values: those of TensorFlow.js, and int64, in which ONNX wants shapes and axes. */
export type ValueType = 'float32' | 'int32' | 'bool' | 'int64';
export type ValueData = Float32Array | Int32Array | Uint8Array | BigInt64Array;
export type Shape = readonly number[];

/**
 * A tensor of the graph: computed (it has data), still to be computed by a node, or a constant of the graph's structure.
 *
 * Shapes are known when values are recorded. They are no part of a graph's structure, so that one session serves all.
 */
export class Value {
  #data: ValueData | null;
  /** What computes it; null once it is computed, and for inputs and constants. */
  node: Node | null;
  /** Baked into the graph: part of its structure. */
  readonly constant: ValueData | null;
  /** The value whose data it shows in another shape. */
  readonly source: Value | null;
  /** Data ids of tensors that it stands for. */
  users = 0;
  /** Where its data go when no tensor has them any more; null once others may have them: a reader, or a recorded node. */
  pool: ArrayPool | null = null;

  constructor(
    readonly shape: Shape,
    readonly type: ValueType,
    origin: { data: ValueData } | { node: Node } | { constant: ValueData } | { source: Value },
  ) {
    this.#data = 'data' in origin ? origin.data : null;
    this.node = 'node' in origin ? origin.node : null;
    this.constant = 'constant' in origin ? origin.constant : null;
    this.source = 'source' in origin ? origin.source : null;
  }

  /** Its data, or those of the value that it shows in another shape; null before they are computed. */
  get data(): ValueData | null {
    return this.source ? this.source.data : this.#data;
  }

  set data(data: ValueData) {
    this.#data = data;
  }
}

/** An ONNX operator with what goes in and comes out. */
export interface Node {
  readonly operator: string;
  /** '' for ONNX's own operators. */
  readonly domain: string;
  readonly attributes: Attributes;
  /** null where an optional input is left out. */
  readonly inputs: readonly (Value | null)[];
  readonly outputs: Value[];
}

/** ONNX Runtime's own operators. */
export const MICROSOFT = 'com.microsoft';

/** Records an operator with several outputs. */
export function recordAll(
  operator: string,
  inputs: readonly (Value | null)[],
  outputs: readonly { shape: Shape; type?: ValueType }[],
  attributes: Attributes = {},
  domain = '',
): Value[] {
  const node: Node = { operator, domain, attributes, inputs, outputs: [] };
  for (const { shape, type = 'float32' } of outputs) node.outputs.push(new Value(shape, type, { node }));
  return node.outputs;
}

/** Records an operator with one output. */
export function record(
  operator: string,
  inputs: readonly (Value | null)[],
  shape: Shape,
  type: ValueType = 'float32',
  attributes: Attributes = {},
  domain = '',
): Value {
  return recordAll(operator, inputs, [{ shape, type }], attributes, domain)[0];
}

/** Whole numbers that may differ from run to run, as shapes do: an input of the graph. */
export function shapeInput(numbers: Shape): Value {
  return new Value([numbers.length], 'int64', { data: typedArray('int64', numbers) });
}

/** Whole numbers that belong to the structure, as axes do. */
export function axesConstant(numbers: Shape): Value {
  return new Value([numbers.length], 'int64', { constant: typedArray('int64', numbers) });
}

const scalars = new Map<string, Value>();

/** A number that belongs to the structure. */
export function scalarConstant(value: number, type: ValueType = 'float32'): Value {
  const key = `${type}${Object.is(value, -0) ? '-0' : value}`;
  const scalar = scalars.get(key) ?? new Value([], type, { constant: typedArray(type, [value]) });
  scalars.set(key, scalar);
  return scalar;
}

/** A value in another shape of as many elements. */
export function reshaped(value: Value, shape: Shape): Value {
  if (sameShape(value.shape, shape)) return value;
  if (value.node?.operator === 'Reshape') return reshaped(value.node.inputs[0] as Value, shape);
  if (value.data) return new Value([...shape], value.type, { source: value.source ?? value });
  return record('Reshape', [value, shapeInput(shape)], [...shape], value.type, { allowzero: 1 });
}

/** A value as a vector, or as a column where `sides` are [-1, 1]: a shape that is part of the structure. */
export function flattened(value: Value, sides: Shape = [-1]): Value {
  const shape = sides.map((side) => (side === -1 ? sizeOf(value.shape) : side));
  return record('Reshape', [value, axesConstant(sides)], shape, value.type);
}

/** A number as often as the shape asks for. */
export function filled(shape: Shape, value: number, type: ValueType = 'float32'): Value {
  return record('Expand', [scalarConstant(value, type), shapeInput(shape)], shape, type);
}

/** A value as another element type. */
export function cast(value: Value, type: ValueType): Value {
  return value.type === type ? value : record('Cast', [value], value.shape, type, { to: ELEMENT_TYPES[type] });
}

const ARRAYS = { float32: Float32Array, int32: Int32Array, bool: Uint8Array };

/** A typed array of an element type with these numbers. */
export function typedArray(type: ValueType, numbers: Iterable<number>): ValueData {
  return type === 'int64' ? BigInt64Array.from([...numbers], BigInt) : ARRAYS[type].from(numbers);
}

/** The element type of a tensor of TensorFlow.js. */
export function valueType(dtype: DataType): ValueType {
  if (dtype in ARRAYS) return dtype as ValueType;
  throw new Error(`the engine onnx has no tensors of ${dtype}`);
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((side, axis) => side === b[axis]);
}

export function sizeOf(shape: Shape): number {
  return shape.reduce((product, side) => product * side, 1);
}

/** The axes of an attribute: one, several, or all where none is given; negative ones count from the end. */
export function axesOf(axis: number | number[] | null | undefined, shape: Shape): number[] {
  return tf.util.parseAxisParam(axis as number, [...shape]);
}

/** One axis, negative ones counted from the end. */
export function axisOf(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

/** The shape of two broadcast together. */
export function broadcast(a: Shape, b: Shape): Shape {
  return tf.backend_util.assertAndGetBroadcastShape([...a], [...b]);
}
