import test from 'ava';
import fc from 'fast-check';
import { type Tensor, tf } from '../../core/engine/tf.js';
import { findEngines, testOnEngines, withoutOpenvino } from '../helpers/engines.js';

/*
 * What TensorFlow.js documents of its operations, on every engine: broadcasting, element types, NaN,
 * negative axes, empty tensors.
 */
const engines = withoutOpenvino(await findEngines());
const { NaN: nan, POSITIVE_INFINITY: infinite } = Number;

interface Case {
  name: string;
  compute: () => Tensor;
  shape: number[];
  values: number[];
  dtype?: string;
}

const m23 = () => tf.tensor2d([1, 2, 3, 4, 5, 6], [2, 3]);
const ints = (...values: number[]) => tf.tensor1d(values, 'int32');
const bools = (...values: number[]) => tf.tensor1d(values, 'bool');

const CASES: Case[] = [
  {
    name: 'add with broadcasting',
    compute: () => m23().add([10, 20, 30]),
    shape: [2, 3],
    values: [11, 22, 33, 14, 25, 36],
  },
  {
    name: 'column plus row',
    compute: () => tf.tensor2d([1, 2], [2, 1]).add([10, 20]),
    shape: [2, 2],
    values: [11, 21, 12, 22],
  },
  { name: 'int32 stays int32', compute: () => ints(1, 2).add(ints(3, 4)), shape: [2], values: [4, 6], dtype: 'int32' },
  {
    name: 'int32 with float32',
    compute: () => ints(1, 2).add(tf.tensor1d([0.5, 0.5])),
    shape: [2],
    values: [1.5, 2.5],
  },
  { name: 'sub', compute: () => tf.sub(1, [1, 2]), shape: [2], values: [0, -1] },
  { name: 'div by zero', compute: () => tf.div([1, -1, 0], 0), shape: [3], values: [infinite, -infinite, nan] },
  {
    name: 'div of int32 floors',
    compute: () => ints(7, -7, 6).div(ints(2, 2, 3)),
    shape: [3],
    values: [3, -4, 2],
    dtype: 'int32',
  },
  {
    name: 'floorDiv',
    compute: () => tf.floorDiv(ints(7, -7), ints(2, 2)),
    shape: [2],
    values: [3, -4],
    dtype: 'int32',
  },
  {
    name: 'mod has the sign of the divisor',
    compute: () => tf.tensor1d([5, -5, 5]).mod([3, 3, -3]),
    shape: [3],
    values: [2, 1, -1],
  },
  { name: 'pow', compute: () => tf.pow([2, 3, 4], [3, 2, 0.5]), shape: [3], values: [8, 9, 2] },
  {
    name: 'maximum keeps NaN',
    compute: () => tf.maximum([1, nan, 3], [2, 0, nan]),
    shape: [3],
    values: [2, nan, nan],
  },
  { name: 'minimum', compute: () => tf.minimum([1, 5], [2, 3]), shape: [2], values: [1, 3] },
  { name: 'squaredDifference', compute: () => tf.squaredDifference([1, 5], [3, 2]), shape: [2], values: [4, 9] },
  { name: 'equal', compute: () => tf.equal([1, 2, nan], [1, 3, nan]), shape: [3], values: [1, 0, 0], dtype: 'bool' },
  { name: 'notEqual', compute: () => tf.notEqual([1, 2], [1, 3]), shape: [2], values: [0, 1], dtype: 'bool' },
  {
    name: 'greater, less',
    compute: () => tf.logicalAnd(tf.greater([1, 2, 3], 1), tf.less([1, 2, 3], 3)),
    shape: [3],
    values: [0, 1, 0],
    dtype: 'bool',
  },
  {
    name: 'greaterEqual, lessEqual',
    compute: () => tf.logicalOr(tf.greaterEqual([1, 2], 2), tf.lessEqual([1, 2], 0)),
    shape: [2],
    values: [0, 1],
    dtype: 'bool',
  },
  { name: 'logicalNot', compute: () => tf.logicalNot(bools(1, 0)), shape: [2], values: [0, 1], dtype: 'bool' },
  {
    name: 'where',
    compute: () => tf.where(bools(1, 0), tf.tensor1d([1, 2]), tf.tensor1d([3, 4])),
    shape: [2],
    values: [1, 4],
  },
  { name: 'abs, neg', compute: () => tf.abs(tf.neg([1, -2])), shape: [2], values: [1, 2] },
  { name: 'sqrt of a negative number', compute: () => tf.sqrt([4, -1]), shape: [2], values: [2, nan] },
  { name: 'rsqrt', compute: () => tf.rsqrt([4, 0]), shape: [2], values: [0.5, infinite] },
  { name: 'square of int32', compute: () => tf.square(ints(3, -4)), shape: [2], values: [9, 16], dtype: 'int32' },
  { name: 'exp, log', compute: () => tf.log(tf.exp([0, 1, -2])), shape: [3], values: [0, 1, -2] },
  { name: 'log of zero and below', compute: () => tf.log([0, -1]), shape: [2], values: [-infinite, nan] },
  { name: 'erf', compute: () => tf.erf([0, 1, -0.5]), shape: [3], values: [0, 0.8427008, -0.5204999] },
  { name: 'tanh, sigmoid', compute: () => tf.tanh([0, 100]).add(tf.sigmoid([0, 0])), shape: [2], values: [0.5, 1.5] },
  { name: 'floor, ceil', compute: () => tf.floor([1.5, -1.5]).add(tf.ceil([0.5, -0.5])), shape: [2], values: [2, -2] },
  {
    name: 'round takes halves to even',
    compute: () => tf.round([0.5, 1.5, 2.5, -0.5]),
    shape: [4],
    values: [0, 2, 2, 0],
  },
  { name: 'relu keeps NaN', compute: () => tf.relu([-1, 2, nan]), shape: [3], values: [0, 2, nan] },
  { name: 'step', compute: () => tf.step([-1, 0, 2]), shape: [3], values: [0, 0, 1] },
  { name: 'clipByValue', compute: () => tf.clipByValue([-5, 0.5, 5], -1, 1), shape: [3], values: [-1, 0.5, 1] },
  {
    name: 'cast to int32 cuts',
    compute: () => tf.cast([1.7, -1.7], 'int32'),
    shape: [2],
    values: [1, -1],
    dtype: 'int32',
  },
  { name: 'cast to bool', compute: () => tf.cast([0, 2, -1], 'bool'), shape: [3], values: [0, 1, 1], dtype: 'bool' },
  { name: 'cast of bool', compute: () => tf.cast(bools(1, 0), 'float32'), shape: [2], values: [1, 0] },
  { name: 'sum of all', compute: () => m23().sum(), shape: [], values: [21] },
  { name: 'sum along a negative axis', compute: () => m23().sum(-1), shape: [2], values: [6, 15] },
  { name: 'sum that keeps its axis', compute: () => m23().sum(0, true), shape: [1, 3], values: [5, 7, 9] },
  { name: 'sum of bool is int32', compute: () => bools(1, 1, 0).sum(), shape: [], values: [2], dtype: 'int32' },
  { name: 'sum of nothing', compute: () => tf.tensor2d([], [0, 3]).sum(0), shape: [3], values: [0, 0, 0] },
  { name: 'mean along two axes', compute: () => tf.ones([2, 3, 4]).mean([0, 2]), shape: [3], values: [1, 1, 1] },
  { name: 'mean of int32', compute: () => ints(1, 2).mean(), shape: [], values: [1.5] },
  { name: 'max, min', compute: () => m23().max(1).sub(m23().min(1)), shape: [2], values: [2, 2] },
  { name: 'prod', compute: () => m23().prod(1), shape: [2], values: [6, 120] },
  {
    name: 'all, any',
    compute: () => tf.logicalAnd(bools(1, 0).any(), tf.logicalNot(bools(1, 0).all())),
    shape: [],
    values: [1],
    dtype: 'bool',
  },
  {
    name: 'argMax',
    compute: () => tf.argMax(tf.tensor2d([1, 9, 3, 7, 5, 6], [2, 3]), 1),
    shape: [2],
    values: [1, 0],
    dtype: 'int32',
  },
  { name: 'moments', compute: () => tf.moments(m23(), 0).variance, shape: [3], values: [2.25, 2.25, 2.25] },
  {
    name: 'softmax',
    compute: () => tf.softmax(tf.tensor2d([0, 0, 1000, 1000], [2, 2])),
    shape: [2, 2],
    values: [0.5, 0.5, 0.5, 0.5],
  },
  { name: 'logSoftmax', compute: () => tf.logSoftmax([0, 0]), shape: [2], values: [-Math.LN2, -Math.LN2] },
  { name: 'matMul', compute: () => tf.matMul(m23(), tf.ones([3, 2])), shape: [2, 2], values: [6, 6, 15, 15] },
  {
    name: 'matMul of transposed',
    compute: () => tf.matMul(m23(), m23(), true, false),
    shape: [3, 3],
    values: [17, 22, 27, 22, 29, 36, 27, 36, 45],
  },
  {
    name: 'matMul of batches with broadcasting',
    compute: () => tf.matMul(tf.ones([2, 1, 2]), tf.ones([1, 2, 3]).mul(2)) as Tensor,
    shape: [2, 1, 3],
    values: [4, 4, 4, 4, 4, 4],
  },
  {
    name: 'reshape with an open side',
    compute: () => m23().reshape([3, -1]),
    shape: [3, 2],
    values: [1, 2, 3, 4, 5, 6],
  },
  {
    name: 'expandDims, squeeze',
    compute: () => m23().expandDims(-1).squeeze([2]),
    shape: [2, 3],
    values: [1, 2, 3, 4, 5, 6],
  },
  { name: 'transpose', compute: () => m23().transpose(), shape: [3, 2], values: [1, 4, 2, 5, 3, 6] },
  {
    name: 'concat along a negative axis',
    compute: () => tf.concat([m23(), m23()], -1),
    shape: [2, 6],
    values: [1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6],
  },
  {
    name: 'concat with nothing',
    compute: () => tf.concat([tf.tensor2d([], [0, 3]), m23()], 0),
    shape: [2, 3],
    values: [1, 2, 3, 4, 5, 6],
  },
  {
    name: 'stack, unstack',
    compute: () => tf.unstack(tf.stack([m23(), m23().mul(2)], 1), 1)[1] as Tensor,
    shape: [2, 3],
    values: [2, 4, 6, 8, 10, 12],
  },
  {
    name: 'split in uneven parts',
    compute: () => tf.split(m23(), [1, 2], -1)[1] as Tensor,
    shape: [2, 2],
    values: [2, 3, 5, 6],
  },
  { name: 'slice to the end', compute: () => tf.slice(m23(), [0, 1], [-1, -1]), shape: [2, 2], values: [2, 3, 5, 6] },
  { name: 'slice of nothing', compute: () => tf.slice(m23(), [0, 0], [0, 3]), shape: [0, 3], values: [] },
  {
    name: 'stridedSlice backwards',
    compute: () => tf.stridedSlice(tf.tensor1d([1, 2, 3, 4, 5]), [4], [0], [-2]),
    shape: [2],
    values: [5, 3],
  },
  { name: 'reverse', compute: () => tf.reverse(m23(), 1), shape: [2, 3], values: [3, 2, 1, 6, 5, 4] },
  {
    name: 'tile',
    compute: () => tf.tile(tf.tensor2d([1, 2], [1, 2]), [2, 2]),
    shape: [2, 4],
    values: [1, 2, 1, 2, 1, 2, 1, 2],
  },
  { name: 'pad', compute: () => tf.pad(tf.tensor1d([1, 2]), [[1, 2]], 9), shape: [5], values: [9, 1, 2, 9, 9] },
  { name: 'gather along an axis', compute: () => tf.gather(m23(), ints(2, 0), 1), shape: [2, 2], values: [3, 1, 6, 4] },
  {
    name: 'gather of int32',
    compute: () => tf.gather(ints(5, 6, 7), ints(2)),
    shape: [1],
    values: [7],
    dtype: 'int32',
  },
  { name: 'oneHot', compute: () => tf.oneHot(ints(1, 0), 2), shape: [2, 2], values: [0, 1, 1, 0], dtype: 'int32' },
  {
    name: 'unsortedSegmentSum',
    compute: () => tf.unsortedSegmentSum(m23(), ints(1, 1), 2),
    shape: [2, 3],
    values: [0, 0, 0, 5, 7, 9],
  },
  { name: 'fill', compute: () => tf.fill([2, 2], 7), shape: [2, 2], values: [7, 7, 7, 7] },
  {
    name: 'zerosLike, onesLike',
    compute: () => tf.zerosLike(m23()).add(tf.onesLike(m23())),
    shape: [2, 3],
    values: [1, 1, 1, 1, 1, 1],
  },
  { name: 'range', compute: () => tf.range(3, 9, 2), shape: [3], values: [3, 5, 7] },
  { name: 'cumsum', compute: () => tf.cumsum(m23(), 1), shape: [2, 3], values: [1, 3, 6, 4, 9, 15] },
  { name: 'eye', compute: () => tf.eye(2), shape: [2, 2], values: [1, 0, 0, 1] },
  { name: 'norm', compute: () => tf.norm([3, 4]), shape: [], values: [5] },
  {
    name: 'a gradient',
    compute: () => tf.grad((x: Tensor) => x.square().mul(x).sum())(tf.tensor1d([1, 2])),
    shape: [2],
    values: [3, 12],
  },
];

/** What the WebAssembly backend of TensorFlow.js does not do as documented; the project does not use it. */
const FAULTS_OF_WASM = ['maximum keeps NaN', 'cast to bool', 'unsortedSegmentSum'];

for (const { name, compute, shape, values, dtype = 'float32' } of CASES) {
  const sound = engines.filter((engine) => engine.name !== 'wasm' || !FAULTS_OF_WASM.includes(name));
  testOnEngines(test, sound, name, async (t) => {
    const result = compute();
    t.deepEqual(result.shape, shape);
    t.is(result.dtype, dtype as typeof result.dtype);
    const data = [...(await result.data())];
    t.is(data.length, values.length);
    data.forEach((value, at) => {
      const expected = values[at] as number;
      const isNear = Object.is(value, expected) || Math.abs(value - expected) <= 1e-5 * Math.max(1, Math.abs(expected));
      t.true(
        isNear || (Number.isNaN(value) && Number.isNaN(expected)),
        `${name}[${at}]: ${value}, expected ${expected}`,
      );
    });
  });
}

/** Operations of random programs: from one matrix of 3 x 4 to another. */
const STEPS: Record<string, (x: Tensor, y: Tensor) => Tensor> = {
  add: (x, y) => x.add(y),
  multiply: (x, y) => x.mul(y),
  divide: (x, y) => x.div(y.abs().add(1)),
  maximum: (x, y) => tf.maximum(x, y),
  tanh: (x) => x.tanh(),
  erf: (x) => tf.erf(x),
  softmax: (x) => tf.softmax(x),
  centre: (x) => x.sub(x.mean(-1, true)),
  squares: (x) => x.square().sum(0, true).tile([3, 1]).mul(0.1),
  product: (x, y) => tf.matMul(tf.matMul(x, y, false, true), x).mul(0.1),
  turn: (x) => x.transpose().reshape([3, 4]),
  swap: (x) => tf.concat([tf.slice(x, [1, 0], [2, 4]), tf.slice(x, [0, 0], [1, 4])], 0),
  gather: (x) => tf.gather(x, tf.tensor1d([2, 0, 1], 'int32')),
  where: (x, y) => tf.where(tf.greater(x, y), x, y.mul(0.5)),
  clip: (x) => tf.clipByValue(x, -1, 1),
};

test.serial('random programs give the same on every engine', async (t) => {
  const present = engines.flatMap((engine) => (engine.present ? [engine.name] : []));
  const { startEngine } = await import('../../core/engine/start.js');
  const values = fc.array(fc.double({ min: -2, max: 2, noNaN: true }), { minLength: 12, maxLength: 12 });
  const programs = fc.sample(
    fc.tuple(values, values, fc.array(fc.constantFrom(...Object.keys(STEPS)), { minLength: 1, maxLength: 8 })),
    { numRuns: 24, seed: 7 },
  );
  for (const [a, b, steps] of programs) {
    const results = new Map<string, Float32Array>();
    for (const name of present) {
      await startEngine(name);
      const result = tf.tidy(() => {
        let [x, y]: [Tensor, Tensor] = [tf.tensor2d(a, [3, 4]), tf.tensor2d(b, [3, 4])];
        for (const step of steps) [x, y] = [(STEPS[step] as (x: Tensor, y: Tensor) => Tensor)(x, y), x];
        return x;
      });
      results.set(name, (await result.data()) as Float32Array);
      result.dispose();
    }
    const expected = results.get('cpu') as Float32Array;
    for (const [name, actual] of results) {
      const worst = Math.max(...actual.map((value, at) => Math.abs(value - (expected[at] as number))));
      const scale = Math.max(1, ...expected.map(Math.abs));
      t.true(worst <= 2e-5 * scale, `${steps.join(', ')} on ${name}: off by ${worst}`);
    }
  }
});
