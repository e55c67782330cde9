import { createRequire } from 'node:module';
import test from 'ava';
import type { Engine } from '../../core/engine/contract.js';
import { RUNTIME_FOLDER } from '../../core/engine/install/place.js';
import { startEngine } from '../../core/engine/start.js';
import { type Scalar, type Tensor, tf } from '../../core/engine/tf.js';
import { initialState } from '../../core/train/state.js';
import { findEngines } from '../helpers/engines.js';
import { methodOf } from '../helpers/method.js';
import { noiseBatch, prepareTestStep } from '../helpers/training.js';

const engines = await findEngines();
const isPresent = engines.some(({ name, present }) => name === 'onnx' && present);
const testOnOnnx = isPresent ? test.serial : test.serial.skip;

/** Sessions that ONNX Runtime has built in this thread. */
let sessionsBuilt = 0;
if (isPresent) {
  const { InferenceSession }: typeof import('onnxruntime-common') = createRequire(import.meta.url)(RUNTIME_FOLDER);
  const create = InferenceSession.create as (...args: unknown[]) => ReturnType<typeof InferenceSession.create>;
  Object.assign(InferenceSession, {
    create(...args: unknown[]) {
      sessionsBuilt++;
      return create.apply(InferenceSession, args);
    },
  });
}

const start = (): Promise<Engine> => startEngine('onnx');
const value = async (tensor: Tensor) => (await tensor.data())[0] as number;

testOnOnnx('nothing is computed before it is read, and what no tensor stands for never is', async (t) => {
  await start();
  const built = sessionsBuilt;
  const x = tf.tensor1d([1, 2, 3]);
  const unused = x.exp();
  const y = x.square().sum();
  unused.dispose();
  t.is(sessionsBuilt, built);
  t.throws(() => y.dataSync(), { message: /await tensor\.data\(\)/ });
  t.is(await value(y), 14);
  t.is(sessionsBuilt, built + 1);
});

testOnOnnx('other shapes and other data run in the session that is there', async (t) => {
  await start();
  const compute = (rows: number, columns: number) =>
    tf.tidy(() => {
      const x = tf.ones([rows, columns]);
      return tf
        .softmax(x.reshape([columns, rows]).transpose())
        .add(x.mean(0))
        .sum();
    });
  t.true(Math.abs((await value(compute(2, 3))) - 8) < 1e-5);
  const built = sessionsBuilt;
  for (const [rows, columns] of [
    [5, 7],
    [1, 4],
    [6, 3],
  ] as const) {
    t.true(Math.abs((await value(compute(rows, columns))) - rows * (1 + columns)) < 1e-4);
  }
  t.is(sessionsBuilt, built);
});

testOnOnnx('a compiled function is traced once for each shape and replayed with new data', async (t) => {
  const engine = await start();
  let traces = 0;
  const fn = engine.compile((inputs: { a: Tensor; b: Tensor }, scale: number) => {
    traces++;
    return { sum: inputs.a.add(inputs.b).mul(scale).sum() as Scalar, same: inputs.a, twice: [inputs.b.mul(2)] };
  });
  const call = async (a: number[], b: number[], scale: number) => {
    const { sum, same, twice } = await fn({ a: tf.tensor1d(a), b: tf.tensor1d(b) }, scale);
    return [await value(sum), ...(await same.data()), ...(await (twice[0] as Tensor).data())];
  };
  t.deepEqual(await call([1, 2], [3, 4], 10), [100, 1, 2, 6, 8]);
  t.deepEqual(await call([5, 6], [7, 8], 10), [260, 5, 6, 14, 16]);
  t.is(traces, 1);
  t.deepEqual(await call([5, 6], [7, 8], 1), [26, 5, 6, 14, 16]);
  t.deepEqual(await call([1], [1], 10), [20, 1, 2]);
  t.is(traces, 3, 'another number and another shape are traced anew');
  const shared = tf.tensor1d([1, 1]);
  const first = await fn({ a: shared, b: shared }, 7);
  t.is(await value(first.sum), 28);
  t.is(await value((await fn({ a: shared, b: tf.tensor1d([2, 2]) }, 7)).sum), 42, 'two inputs stay two');
});

testOnOnnx('a tensor whose data others share is copied before it is changed in place', async (t) => {
  const engine = await start();
  const x = tf.tensor1d([1, 2]);
  const copy = x.clone();
  const sum = await engine.accumulate(x, tf.tensor1d([10, 10]));
  t.deepEqual([...(await sum.data())], [11, 12]);
  t.deepEqual([...(await copy.data())], [1, 2]);
});

const SIZE = { imageSize: 32, patchSize: 4, dim: 16, depth: 2, heads: 2, predictorDim: 8, predictorDepth: 1 };

testOnOnnx('30 steps with different numbers of tokens need one session for each part of the step', async (t) => {
  const engine = await start();
  const made = methodOf(SIZE);
  const takeStep = prepareTestStep(engine, made, 8);
  let state = initialState(made.method, ['first', 'second'], 0);
  const counts = new Set<string>();
  const built = sessionsBuilt;
  for (let step = 1; step <= 30; step++) {
    const batch = noiseBatch(made, 4, step);
    const { context, target } = batch.groups[0]?.masks ?? {};
    counts.add(`${context?.tokenCount} ${target?.tokenCount}`);
    ({ state } = await takeStep(state, batch, { learningRate: 1e-3, weightDecay: 0.04, emaDecay: 0.99 }));
  }
  t.true(counts.size > 8, `${counts.size} combinations`);
  const expected = engine.concurrency > 1 ? 3 : 2;
  t.is(sessionsBuilt, built + expected, 'the gradients, what joins the parts, and what is logged of them');
});

testOnOnnx('an operation without kernel fails with its name and the place where it would go', async (t) => {
  await start();
  const error = t.throws(() => tf.image.resizeBilinear(tf.ones([1, 2, 2, 3]) as never, [4, 4]));
  t.regex(error?.message ?? '', /no kernel ResizeBilinear; it would go into core\/engine\/onnx\/kernels/);
});
