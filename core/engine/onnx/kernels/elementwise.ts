import { mapValues } from '../../../base/map-values.js';
import type { Kernel, KernelTable } from '../backend.js';
import { broadcast, cast, filled, record, reshaped, sameShape, scalarConstant, type Value } from '../graph.js';

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
  ({ a, b }, _, tensors, backend) => {
    if (!sameShape(a.shape, b.shape)) return binary(operator, a, b);
    const [x, y] = [backend.recorded(tensors.a), backend.recorded(tensors.b)];
    const { shape } = x.shape.length < y.shape.length ? x : y;
    return backend.register(binary(operator, reshaped(x, shape), reshaped(y, shape)), a.shape);
  };

function comparison(operator: string): Kernel {
  return ({ a, b }) => binary(operator, a, b, 'bool');
}

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

/** ⌊a / b⌋; whole numbers are divided as such and moved down where the signs differ and something is left. */
function floorDivide(a: Value, b: Value): Value {
  if (a.type !== 'int32') return unary('Floor', divide(a, b));
  return divide(subtract(a, binary('Mod', a, b)), b);
}

function squared(x: Value): Value {
  return multiply(x, x);
}

export function select(condition: Value, chosen: Value, other: Value): Value {
  const shape = broadcast(broadcast(condition.shape, chosen.shape), other.shape);
  return record('Where', [condition, chosen, other], shape, chosen.type);
}

/** max(x, 0), NaN where x is NaN. */
function relu(x: Value): Value {
  return binary('Max', x, zeroFor(x));
}

const zeroFor = (x: Value) => scalarConstant(0, x.type);

export const ELEMENTWISE: KernelTable = {
  ...mapValues(OF_TWO, ofTwo),
  ...mapValues(COMPARISONS, comparison),
  ...Object.fromEntries(OF_ONE.split(' ').map((name): [string, Kernel] => [name, ({ x }) => unary(name, x)])),
  RealDiv: ({ a, b }) => divide(cast(a, 'float32'), cast(b, 'float32')),
  FloorDiv: ({ a, b }) => floorDivide(a, b),
  Mod: ({ a, b }) => (a.type === 'int32' ? binary('Mod', a, b) : subtract(a, multiply(b, floorDivide(a, b)))),
  SquaredDifference: ({ a, b }) => squared(subtract(a, b)),
  AddN: (inputs) => Object.values(inputs).reduce(add),
  NotEqual: ({ a, b }) => unary('Not', binary('Equal', a, b, 'bool')),
  LogicalNot: ({ x }) => unary('Not', x),
  Rsqrt: ({ x }) => unary('Reciprocal', unary('Sqrt', x)),
  Square: ({ x }) => squared(x),
  Expm1: ({ x }) => subtract(unary('Exp', x), scalarConstant(1)),
  Log1p: ({ x }) => unary('Log', add(x, scalarConstant(1))),
  IsNan: ({ x }) => record('IsNaN', [x], x.shape, 'bool'),
  IsInf: ({ x }) => record('IsInf', [x], x.shape, 'bool'),
  // x 0 is 0, or NaN where x is NaN or infinite.
  IsFinite: ({ x }) => binary('Equal', multiply(x, scalarConstant(0)), scalarConstant(0), 'bool'),
  Relu: ({ x }) => relu(x),
  Relu6: ({ x }) => binary('Min', relu(x), scalarConstant(6)),
  LeakyRelu: ({ x }, { alpha }) => unary('LeakyRelu', x, { alpha: { float: alpha } }),
  // 1 above zero, `alpha` below and at it, NaN where x is NaN.
  Step: ({ x }, { alpha }) => {
    const stepped = select(binary('Greater', x, zeroFor(x), 'bool'), scalarConstant(1), scalarConstant(alpha));
    return select(record('IsNaN', [x], x.shape, 'bool'), x, stepped);
  },
  ClipByValue: ({ x }, { clipValueMin, clipValueMax }) => {
    const low = binary('Max', x, scalarConstant(clipValueMin, x.type));
    return binary('Min', low, scalarConstant(clipValueMax, x.type));
  },
  Select: ({ condition, t: chosen, e: other }) => {
    // A condition of one axis chooses whole rows.
    const isByRow = condition.shape.length === 1 && chosen.shape.length > 1;
    const shape = isByRow ? [condition.shape[0], ...chosen.shape.slice(1).map(() => 1)] : condition.shape;
    return select(reshaped(condition, shape), chosen, other);
  },
  Cast: ({ x }, { dtype }, tensors, backend) => {
    if (dtype === x.type) return backend.share(tensors.x);
    return dtype === 'bool' ? unary('Not', binary('Equal', x, zeroFor(x), 'bool')) : cast(x, dtype);
  },
  ZerosLike: ({ x }) => filled(x.shape, 0, x.type),
  OnesLike: ({ x }) => filled(x.shape, 1, x.type),
  Fill: (_, { shape, value, dtype }) => filled(shape, Number(value), dtype ?? 'float32'),
};
