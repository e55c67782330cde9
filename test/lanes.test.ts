import test from 'ava';
import type { Engine } from '../core/engine/contract.js';
import { placesOf } from '../core/engine/onnx/lane.js';
import { startEngine } from '../core/engine/start.js';
import { type Tensor, tf } from '../core/engine/tf.js';
import { findEngines } from './helpers/engines.js';

const engines = await findEngines();
const isPresent = engines.some(({ name, present }) => name === 'onnx' && present);
const testOnOnnx = isPresent ? test.serial : test.serial.skip;

/** With two threads there are two lanes, however many cores the machine has. */
const start = (): Promise<Engine> => startEngine('onnx', { threads: 2 });

/** Rows of a table, times a number, and the rows' numbers as they were given. */
const compute = ({ table }: { table: Tensor }, { rows, times }: { rows: Tensor; times: number }) =>
  tf.tidy(() => ({ scaled: tf.gather(table, rows).mul(times), same: rows }));

testOnOnnx('parts that two lanes compute come in their order, as if they were computed one by one', async (t) => {
  const engine = await start();
  t.is(engine.lanes, 2);
  const inLanes = engine.compileParts(compute);
  const alone = engine.compile(compute);
  const table = tf.tensor2d([1, 2, 3, 4, 5, 6], [3, 2]);
  for (const wanted of [
    [[0], [1]],
    [
      [2, 1],
      [0, 0],
      [1, 2],
    ],
    [[1]],
    [],
    [[0], [1, 2], [2], [0, 1]],
  ]) {
    const parts = wanted.map((rows, at) => ({ rows: tf.tensor1d(rows, 'int32'), times: at + 1 }));
    for (const atOnce of [undefined, 1, 2]) {
      let at = 0;
      for await (const { scaled, same } of inLanes({ table }, parts, atOnce)) {
        const part = parts[at++] as (typeof parts)[number];
        const expected = await alone({ table }, part);
        t.deepEqual(await scaled.data(), await expected.scaled.data());
        t.deepEqual(scaled.shape, expected.scaled.shape);
        t.deepEqual(await same.data(), await part.rows.data());
      }
      t.is(at, parts.length);
    }
  }
});

testOnOnnx('what is shared is read anew for every call, and stays as it is', async (t) => {
  const engine = await start();
  const inLanes = engine.compileParts((x: Tensor, part: Tensor) => tf.tidy(() => x.add(part)));
  let x: Tensor = tf.tensor1d([1, 2, 3]);
  const parts = [tf.tensor1d([10, 10, 10]), tf.tensor1d([20, 20, 20])];
  const sums = async () => {
    const found: number[][] = [];
    for await (const sum of inLanes(x, parts)) found.push([...(await sum.data())]);
    return found;
  };
  t.deepEqual(await sums(), [
    [11, 12, 13],
    [21, 22, 23],
  ]);
  x = await engine.accumulate(x, tf.tensor1d([100, 100, 100])); // in place
  t.deepEqual(await sums(), [
    [111, 112, 113],
    [121, 122, 123],
  ]);
  t.deepEqual([...(await x.data())], [101, 102, 103]);
});

testOnOnnx('what fails in the second lane fails the call, and the next one works', async (t) => {
  const engine = await start();
  const inLanes = engine.compileParts(compute);
  const table = tf.tensor2d([1, 2, 3, 4], [2, 2]);
  const parts = (rows: number[]) => rows.map((row) => ({ rows: tf.tensor1d([row], 'int32'), times: 1 }));
  const first = async (rows: number[]) => {
    const values: number[] = [];
    for await (const { scaled } of inLanes({ table }, parts(rows))) values.push((await scaled.data())[0] as number);
    return values;
  };
  await t.throwsAsync(() => first([0, 7]), { message: /indices element out of data bounds/ });
  t.deepEqual(await first([1, 0]), [3, 1]);
});

test('arrays of a lane begin at whole steps of 64 bytes', (t) => {
  t.deepEqual(placesOf([1, 16, 17]), {
    places: [
      { offset: 0, length: 1 },
      { offset: 64, length: 16 },
      { offset: 128, length: 17 },
    ],
    bytes: 256,
  });
});
