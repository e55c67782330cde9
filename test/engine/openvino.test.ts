import test from 'ava';
import type { Engine } from '../../core/engine/contract.js';
import { linear, mlp } from '../../core/engine/functions.js';
import type { OnnxBackend } from '../../core/engine/onnx/backend.js';
import { loadOpenvino, type OpenVino } from '../../core/engine/openvino/library.js';
import { partsOn } from '../../core/engine/openvino/parts.js';
import { startEngine } from '../../core/engine/start.js';
import { type Tensor, tf } from '../../core/engine/tf.js';
import { findEngines, relativeDifference } from '../helpers/engines.js';

const engines = await findEngines();
const absent = engines.find((engine) => engine.name === 'openvino' && !engine.present);
const testOnOpenvino = absent ? test.serial.skip : test.serial;
const computesBfloat16 = !absent && (await loadOpenvino()).capabilities().includes('BF16');

const start = (): Promise<Engine> => startEngine('openvino', { threads: 2 });

/** Parts computed by a library that counts how often it compiles. */
async function countingParts() {
  await start();
  const openvino = await loadOpenvino();
  const counted = { compilations: 0 };
  const counting: OpenVino = {
    ...openvino,
    compile(...given) {
      counted.compilations++;
      return openvino.compile(...given);
    },
  };
  return { counted, ...partsOn(tf.backend() as OnnxBackend, counting, { INFERENCE_PRECISION_HINT: 'f32' }) };
}

/** All results of parts. */
async function all(results: AsyncGenerator<Tensor, void, void>): Promise<number[][]> {
  const found: number[][] = [];
  for await (const tensor of results) found.push([...(await tensor.data())]);
  return found;
}

testOnOpenvino('a graph is compiled anew only when a side varies that never did, and then never again', async (t) => {
  const { counted, compileParts } = await countingParts();
  // Tokens of some images as rows and back: shapes in which one side, two, and none vary.
  const fn = (weight: Tensor, x: Tensor) =>
    tf.tidy(() => {
      const [images, tokens, width] = x.shape as [number, number, number];
      const heads = x.reshape([images, tokens, 2, width / 2]).transpose([0, 2, 1, 3]); // [B, h, N, d]
      const sums = heads.sum(3).add(tf.ones([images, 2, tokens])); // [B, h, N]
      return tf.concat([linear(x, weight, tf.zeros([3])).reshape([-1]), sums.reshape([-1])], 0);
    });
  const compute = compileParts(fn);
  const weight = tf.randomNormal([3, 4], 0, 1, 'float32', 1);
  const compilations: number[] = [];
  for (const [images, tokens] of [
    [2, 5],
    [2, 5],
    [2, 3],
    [2, 7],
    [3, 7],
    [4, 2],
    [1, 9],
    [2, 5],
  ] as const) {
    const x = tf.randomNormal([images, tokens, 4], 0, 1, 'float32', images * tokens);
    const [found] = (await all(compute(weight, [x]))) as [number[]];
    await tf.setBackend('cpu');
    const plain = fn(tf.tensor(await weight.data(), [3, 4]), tf.tensor(await x.data(), [images, tokens, 4]));
    t.true(relativeDifference(found, await plain.data()) < 1e-6);
    await start();
    compilations.push(counted.compilations);
  }
  t.deepEqual(compilations, [1, 1, 2, 2, 3, 3, 3, 3]);
});

testOnOpenvino(
  'what has varied is saved: another process compiles the same model at once, and goes on with the same bits',
  async (t) => {
    const fn = (weight: Tensor, x: Tensor) =>
      tf.tidy(() => x.matMul(weight).reshape([-1, 8, 64]).softmax().matMul(weight, false, true));
    const [weight, ...batches] = [[7, 64], ...[96, 104, 112, 96].map((rows) => [rows, 7])].map((shape, at) =>
      tf.randomNormal(shape, 0, 1, 'float32', at),
    ) as [Tensor, ...Tensor[]];
    const compute = async ({ compileParts }: Awaited<ReturnType<typeof countingParts>>, from: number, to: number) => {
      const run = compileParts((shared: Tensor, x: Tensor) => fn(shared, x));
      const results: number[][] = [];
      for (const x of batches.slice(from, to)) results.push(...(await all(run(weight, [x]))));
      return results;
    };
    const before = await countingParts();
    await compute(before, 0, 2);
    const saved: unknown = JSON.parse(JSON.stringify(before.history?.save()));
    const whole = await countingParts();
    const expected = await compute(whole, 0, 4);
    const after = await countingParts();
    after.history?.restore(saved);
    t.deepEqual(await compute(after, 2, 4), expected.slice(2));
    t.is(after.counted.compilations, 1);
    t.deepEqual(after.history?.save(), whole.history?.save());
    after.history?.restore({ other: 'format' }); // as an older version may have written it
    t.deepEqual(after.history?.save(), whole.history?.save());
  },
);

testOnOpenvino('parts of different sizes in one call are compiled together', async (t) => {
  const { counted, compileParts } = await countingParts();
  const compute = compileParts((weight: Tensor, x: Tensor) => tf.tidy(() => x.matMul(weight)));
  const parts = [tf.ones([2, 2]), tf.ones([3, 2])];
  t.deepEqual(await all(compute(tf.tensor2d([1, 2], [2, 1]), parts)), [
    [3, 3],
    [3, 3, 3],
  ]);
  t.is(counted.compilations, 1);
});

testOnOpenvino('the event loop goes on while a graph is compiled and run', async (t) => {
  const { compileParts } = await countingParts();
  const compute = compileParts((a: Tensor, b: Tensor) => tf.tidy(() => a.matMul(b).matMul(b).matMul(b).sum()));
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  const a = tf.ones([1024, 1024]);
  await all(compute(a, [a]));
  clearInterval(timer);
  t.true(ticks > 2);
});

testOnOpenvino('graphs that OpenVINO refuses are an error that says so', async (t) => {
  const openvino = await loadOpenvino();
  await t.throwsAsync(() => openvino.compile(new Uint8Array([1, 2, 3]), {}), {
    message: /^OpenVINO does not read a graph: /,
  });
  const { compileParts } = await countingParts();
  const compute = compileParts((a: Tensor, b: Tensor) => tf.tidy(() => a.add(b)));
  await all(compute(tf.ones([2]), [tf.ones([2])]));
});

(computesBfloat16 ? test.serial : test.serial.skip)(
  'in bfloat16 a network is computed with 8 bits, its weights are kept with 24',
  async (t) => {
    const x = tf.randomNormal([64, 32], 0, 1, 'float32', 1);
    const weights = [[64, 32], [64], [32, 64], [32]].map((shape, at) => tf.randomNormal(shape, 0, 0.3, 'float32', at));
    const data = await Promise.all([x, ...weights].map((tensor) => tensor.data()));
    const outputs: number[][] = [];
    for (const precision of ['float32', 'bfloat16'] as const) {
      const engine = await startEngine('openvino', { precision, threads: 2 });
      const compute = engine.compileParts((shared: Tensor[], part: Tensor) =>
        tf.tidy(() => {
          const [weight1, bias1, weight2, bias2] = shared as [Tensor, Tensor, Tensor, Tensor];
          return mlp(part, { weight: weight1, bias: bias1 }, { weight: weight2, bias: bias2 });
        }),
      );
      const [given, ...shared] = [x, ...weights].map(({ shape }, at) => tf.tensor(data[at] as Float32Array, shape));
      outputs.push(...(await all(compute(shared, [given as Tensor]))));
    }
    const difference = relativeDifference(outputs[1] as number[], outputs[0] as number[]);
    t.true(difference > 1e-5 && difference < 2e-2, `${difference}`);
  },
);
