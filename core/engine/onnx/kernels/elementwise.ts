import type { TensorInfo } from '../../tf.js';
import { cast, filled, record, reshaped, sameShape, scalarConstant, type Value } from '../graph.js';
import { broadcast, type Call, type Kernel, type KernelTable } from './table.js';

/** Operators on elements, one by one, with broadcasting. */

function binary(operator: string, a: Value, b: Value, type = a.type): Value {
  return record(operator, [a, b], broadcast(a.shape, b.shape), type);
}

export const add = (a: Value, b: Value) => binary('Add', a, b);
export const subtract = (a: Value, b: Value) => binary('Sub', a, b);
export const multiply = (a: Value, b: Value) => binary('Mul', a, b);
export const divide = (a: Value, b: Value) => binary('Div', a, b);

/** An operator of one input; its element type stays. */
export function unary(operator: string, x: Value, attributes = {}, domain = ''): Value {
  return record(operator, [x], x.shape, x.type, attributes, domain);
}

/** Of tensors of one shape it works on what was recorded, as long as that has one shape as well: less is reshaped. */
const ofTwo =
  (operator: string): Kernel =>
  ({ backend, tensors, value }: Call) => {
    const { a, b } = tensors as { a: TensorInfo; b: TensorInfo };
    if (!sameShape(a.shape, b.shape)) return binary(operator, value('a'), value('b'));
    const [x, y] = [backend.recorded(a), backend.recorded(b)];
    const { shape } = x.shape.length < y.shape.length ? x : y;
    return backend.register(binary(operator, reshaped(x, shape), reshaped(y, shape)), a.shape);
  };

const comparison =
  (operator: string): Kernel =>
  ({ value }: Call) =>
    binary(operator, value('a'), value('b'), 'bool');

/** Operators of one input that ONNX calls as TensorFlow.js does, and which keep the element type. */
const OF_ONE =
  'Abs Neg Sqrt Reciprocal Exp Log Erf Tanh Sigmoid Softplus Sin Cos Tan Sinh Cosh Asin Acos Atan Floor Ceil Round Sign Elu Selu';
/** Operators of two inputs by their names in TensorFlow.js, and in ONNX. */
const OF_TWO = { Add: 'Add', Sub: 'Sub', Multiply: 'Mul', Pow: 'Pow', Maximum: 'Max', Minimum: 'Min' };
const COMPARISONS = {
  Equal: 'Equal',
  Greater: 'Greater',
  GreaterEqual: 'GreaterOrEqual',
  Less: 'Less',
  LessEqual: 'LessOrEqual',
  LogicalAnd: 'And',
  LogicalOr: 'Or',
};

const tableOf = (operators: Readonly<Record<string, string>>, make: (operator: string) => Kernel): KernelTable =>
  Object.fromEntries(Object.entries(operators).map(([name, operator]) => [name, make(operator)]));

/** ⌊a / b⌋; whole numbers are divided as such and moved down where the signs differ and something is left. */
function floorDivide(a: Value, b: Value): Value {
  if (a.type !== 'int32') return unary('Floor', divide(a, b));
  const remainder = binary('Mod', a, b);
  return divide(subtract(a, remainder), b);
}

function squared(x: Value): Value {
  return multiply(x, x);
}

/** 1 above zero, `alpha` below and at it, NaN where x is NaN. */
function step({ value, attributes }: Call<{ alpha: number }>): Value {
  const x = value('x');
  const stepped = select(
    binary('Greater', x, scalarConstant(0), 'bool'),
    scalarConstant(1),
    scalarConstant(attributes.alpha),
  );
  return select(record('IsNaN', [x], x.shape, 'bool'), x, stepped);
}

export function select(condition: Value, chosen: Value, other: Value): Value {
  const shape = broadcast(broadcast(condition.shape, chosen.shape), other.shape);
  return record('Where', [condition, chosen, other], shape, chosen.type);
}

/** max(x, 0), NaN where x is NaN. */
function relu(x: Value): Value {
  return binary('Max', x, scalarConstant(0, x.type as 'float32'));
}

export const ELEMENTWISE: KernelTable = {
  ...tableOf(OF_TWO, ofTwo),
  ...tableOf(COMPARISONS, comparison),
  ...Object.fromEntries(
    OF_ONE.split(' ').map((name): [string, Kernel] => [name, ({ value }) => unary(name, value('x'))]),
  ),
  RealDiv: ({ value }) => divide(cast(value('a'), 'float32'), cast(value('b'), 'float32')),
  FloorDiv: ({ value }) => floorDivide(value('a'), value('b')),
  Mod: ({ value }) => {
    const [a, b] = [value('a'), value('b')];
    return a.type === 'int32' ? binary('Mod', a, b) : subtract(a, multiply(b, floorDivide(a, b)));
  },
  SquaredDifference: ({ value }) => squared(subtract(value('a'), value('b'))),
  AddN: ({ backend, tensors }) =>
    Object.values(tensors)
      .map((tensor) => backend.valueFor(tensor))
      .reduce(add),
  NotEqual: ({ value }) => unary('Not', binary('Equal', value('a'), value('b'), 'bool')),
  LogicalNot: ({ value }) => unary('Not', value('x')),
  Rsqrt: ({ value }) => unary('Reciprocal', unary('Sqrt', value('x'))),
  Square: ({ value }) => squared(value('x')),
  Expm1: ({ value }) => subtract(unary('Exp', value('x')), scalarConstant(1)),
  Log1p: ({ value }) => unary('Log', add(value('x'), scalarConstant(1))),
  IsNan: ({ value }) => record('IsNaN', [value('x')], value('x').shape, 'bool'),
  IsInf: ({ value }) => record('IsInf', [value('x')], value('x').shape, 'bool'),
  IsFinite: ({ value }) => {
    const nothing = multiply(value('x'), scalarConstant(0)); // 0, or NaN where x is NaN or infinite
    return binary('Equal', nothing, scalarConstant(0), 'bool');
  },
  Relu: ({ value }) => relu(value('x')),
  Relu6: ({ value }) => binary('Min', relu(value('x')), scalarConstant(6)),
  LeakyRelu: ({ value, attributes }) => unary('LeakyRelu', value('x'), { alpha: { float: attributes.alpha } }),
  Step: step,
  ClipByValue: ({ value, attributes }) => {
    const x = value('x');
    const low = binary('Max', x, scalarConstant(attributes.clipValueMin, x.type as 'float32'));
    return binary('Min', low, scalarConstant(attributes.clipValueMax, x.type as 'float32'));
  },
  Select: ({ value }) => {
    const condition = value('condition');
    const chosen = value('t');
    // A condition of one axis chooses whole rows.
    const isByRow = condition.shape.length === 1 && chosen.shape.length > 1;
    const shape = isByRow ? [condition.shape[0] as number, ...chosen.shape.slice(1).map(() => 1)] : condition.shape;
    return select(isByRow ? reshaped(condition, shape) : condition, chosen, value('e'));
  },
  Cast: ({ backend, tensors, value, attributes }) => {
    const x = value('x');
    if (attributes.dtype === x.type) return backend.share(tensors.x as never);
    if (attributes.dtype === 'bool')
      return record('Not', [binary('Equal', x, scalarConstant(0, x.type as 'float32'), 'bool')], x.shape, 'bool');
    return cast(x, attributes.dtype);
  },
  ZerosLike: ({ tensors }) => filled(tensors.x?.shape ?? [], 0, tensors.x?.dtype as 'float32'),
  OnesLike: ({ tensors }) => filled(tensors.x?.shape ?? [], 1, tensors.x?.dtype as 'float32'),
  Fill: ({ attributes }) => filled(attributes.shape, Number(attributes.value), attributes.dtype ?? 'float32'),
};
