import { Worker } from 'node:worker_threads';
import test from 'ava';
import { compileWhole, type Engine } from '../../core/engine/contract.js';
import { layOut } from '../../core/engine/onnx/compute-worker.js';
import { startEngine } from '../../core/engine/start.js';
import { type Tensor, tf } from '../../core/engine/tf.js';
import { initialNetworks, tensorsOf } from '../../core/train/state.js';
import { findEngines } from '../helpers/engines.js';
import { methodOf } from '../helpers/method.js';
import { prepareBatchGradients } from '../helpers/training.js';

const engines = await findEngines();
const isPresent = engines.some(({ name, present }) => name === 'onnx' && present);
const testOnOnnx = isPresent ? test.serial : test.serial.skip;

/** With two threads two parts are computed at once, however many cores the machine has. */
const start = (): Promise<Engine> => startEngine('onnx', { threads: 2 });

/** Engines that compute parts side by side, by their number of threads. */
const SIDE_BY_SIDE = (['onnx', 'openvino'] as const).map((name) => {
  const present = engines.some((engine) => engine.name === name && engine.present);
  return { name, declare: present ? test.serial : test.serial.skip };
});

/** Rows of a table, times a number, and the rows' numbers as they were given. */
const compute = ({ table }: { table: Tensor }, { rows, times }: { rows: Tensor; times: number }) =>
  tf.tidy(() => ({ scaled: tf.gather(table, rows).mul(times), same: rows }));

for (const { name, declare } of SIDE_BY_SIDE)
  declare(`parts computed side by side come in their order, as if computed one by one, on ${name}`, async (t) => {
    const engine = await startEngine(name, { threads: 2 });
    t.is(engine.concurrency, name === 'onnx' ? 2 : 1);
    const inParts = engine.compileParts(compute);
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
      for (const concurrency of [undefined, 1, 2]) {
        let at = 0;
        for await (const { scaled, same } of inParts({ table }, parts, concurrency)) {
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

for (const { name, declare } of SIDE_BY_SIDE)
  declare(`arrays of results are used again only when nobody has them any more, on ${name}`, async (t) => {
    const engine = await startEngine(name, { threads: 2 });
    const compute = compileWhole(engine, (x: Tensor, add: Tensor) => tf.tidy(() => x.add(add)));
    const compiled = engine.compile((x: Tensor, add: Tensor) => tf.tidy(() => x.add(add)));
    const x = tf.zeros([200, 200]); // large enough to be kept
    for (const result of [compute, compiled].map((add) => (number: number) => add(x, tf.scalar(number)))) {
      const read = await result(1);
      const values = await read.data();
      const noted = await result(2);
      const pending = tf.tidy(() => noted.mul(10)); // recorded, not computed
      const kept = await result(3);
      const shown = kept.reshape([40_000]);
      const first = await result(4);
      const readAtOnce = await result(9);
      const valuesAtOnce = readAtOnce.dataSync();
      const second = await compiled(first, tf.scalar(1)); // may lie where another one lay, not where `first` does
      tf.dispose([read, readAtOnce, noted, kept, first]);
      const later: Tensor[] = []; // all at the same time, so that every array that is free is used again
      for (let add = 5; add < 9; add++) later.push(await result(add));
      tf.dispose(later);
      t.is(values[39_999], 1);
      t.is((await pending.data())[39_999], 20);
      t.is((await shown.data())[39_999], 3);
      t.is((await second.data())[39_999], 5);
      t.is(valuesAtOnce[39_999], 9);
    }
  });

for (const { name, declare } of SIDE_BY_SIDE)
  declare(`what parts share is read anew for every call, and stays as it is, on ${name}`, async (t) => {
    const engine = await startEngine(name, { threads: 2 });
    const inParts = engine.compileParts((x: Tensor, part: Tensor) => tf.tidy(() => x.add(part)));
    let x: Tensor = tf.tensor1d([1, 2, 3]);
    const parts = [tf.tensor1d([10, 10, 10]), tf.tensor1d([20, 20, 20])];
    const sums = async () => {
      const found: number[][] = [];
      for await (const sum of inParts(x, parts)) found.push([...(await sum.data())]);
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

testOnOnnx('what fails in the second thread fails the call, and the next one works', async (t) => {
  const engine = await start();
  const inParts = engine.compileParts(compute);
  const table = tf.tensor2d([1, 2, 3, 4], [2, 2]);
  const parts = (rows: number[]) => rows.map((row) => ({ rows: tf.tensor1d([row], 'int32'), times: 1 }));
  const first = async (rows: number[]) => {
    const values: number[] = [];
    for await (const { scaled } of inParts({ table }, parts(rows))) values.push((await scaled.data())[0] as number);
    return values;
  };
  await t.throwsAsync(() => first([0, 7]), { message: /indices element out of data bounds/ });
  t.deepEqual(await first([1, 0]), [3, 1]);
});

testOnOnnx('a part in the second thread takes along the weights and its own images, not the batch', async (t) => {
  const engine = await start();
  const side = 64;
  const size = { dim: 16, depth: 1, heads: 2, predictorDim: 8, predictorDepth: 1 };
  const made = methodOf({ ...size, imageSize: side, patchSize: 16 });
  const networks = initialNetworks(made.method, 0);
  const images = 16;
  const pixels = 3 * side ** 2;
  const masks = (tokenCount: number, imageCount: number) => ({
    maskCount: 1,
    imageCount,
    tokenCount,
    patchCount: (side / 16) ** 2,
    indices: Int32Array.from({ length: imageCount * tokenCount }, (_, at) => at % tokenCount),
  });
  const groups = [9, 7].map((imageCount, at) => ({
    imageCount,
    masks: { context: masks(3 + at, imageCount), target: masks(2, imageCount) },
  }));
  // A view of a larger buffer, and groups of which each is a part.
  const image = new Float32Array(4 * images * pixels).subarray(pixels, (1 + images) * pixels);
  const sent: number[] = [];
  const { postMessage } = Worker.prototype;
  t.teardown(() => {
    Worker.prototype.postMessage = postMessage;
  });
  Worker.prototype.postMessage = function (message: { kind?: string }, ...rest) {
    if (message.kind === 'run') sent.push(bytesOf(message));
    else t.true(bytesOf(message) < 1e5);
    return postMessage.call(this, message, ...rest);
  };
  await prepareBatchGradients(engine, made, 32)(networks, { views: { image }, groups });
  const ofWeights = layOut([...tensorsOf(networks)].map(([, , { size }]) => size));
  t.is(sent.length, 1);
  const own = (sent[0] as number) - ofWeights.bytes;
  const ofImages = 4 * 7 * pixels;
  t.true(own >= ofImages && own < ofImages + 1000, `${own} bytes for images of ${ofImages}`);
});

/** The bytes of all buffers that a message takes along, moved or cloned. */
function bytesOf(message: unknown): number {
  const buffers = new Set<ArrayBufferLike>();
  const visit = (part: unknown): void => {
    if (ArrayBuffer.isView(part)) buffers.add(part.buffer);
    else if (part instanceof ArrayBuffer) buffers.add(part);
    else if (typeof part === 'object' && part !== null) Object.values(part).forEach(visit);
  };
  visit(message);
  return [...buffers].reduce((sum, { byteLength }) => sum + byteLength, 0);
}

test('arrays of a compute worker begin at whole steps of 64 bytes', (t) => {
  t.deepEqual(layOut([1, 16, 17]), {
    arrays: [
      { offset: 0, length: 1 },
      { offset: 64, length: 16 },
      { offset: 128, length: 17 },
    ],
    bytes: 256,
  });
});

for (const { name, declare } of SIDE_BY_SIDE)
  declare(`what was compiled can be freed, and is compiled again where it is prepared again, on ${name}`, async (t) => {
    const engine = await startEngine(name, { threads: 2 });
    const table = tf.tensor2d([1, 2, 3, 4], [2, 2]);
    const parts = [0, 1].map((row) => ({ rows: tf.tensor1d([row], 'int32'), times: 3 }));
    const answers: number[][] = [];
    for (let start = 0; start < 2; start++) {
      for await (const { scaled } of engine.compileParts(compute)({ table }, parts))
        answers.push([...(await scaled.data())]);
      await engine.free?.();
    }
    t.deepEqual(answers, [
      [3, 6],
      [9, 12],
      [3, 6],
      [9, 12],
    ]);
  });
