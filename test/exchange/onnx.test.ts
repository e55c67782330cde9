import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { UserError } from '../../core/base/errors.js';
import { RandomStream } from '../../core/base/random.js';
import { tryEngine } from '../../core/engine/start.js';
import { tf } from '../../core/engine/tf.js';
import { loadNetwork, transformerBackbone } from '../../core/eval/network.js';
import { writeOnnx } from '../../core/exchange/onnx/write.js';
import { readEncoder } from '../../core/exchange/read.js';
import { gridSize, type VitSize } from '../../core/nn/sizes.js';
import { temporaryFolder } from '../helpers/command.js';
import { relativeDifference } from '../helpers/engines.js';
import { SMALL_SIZE, smallCheckpoint } from '../helpers/features.js';
import { openModel } from '../helpers/onnx-model.js';

const runtime = await tryEngine('onnx');
const testWithRuntime = (title: string, body: (t: ExecutionContext) => Promise<void>) =>
  runtime.present ? test.serial(title, body) : test.skip(`${title} (skipped: ${runtime.reason})`, (t) => t.fail());

const [S, D] = [SMALL_SIZE.imageSize, SMALL_SIZE.encoder.dim];
const N = gridSize(SMALL_SIZE) ** 2;

for (const [precision, file, tolerance] of [
  ['fp32', 'model.onnx', 1e-5],
  ['fp16', 'model_fp16.onnx', 1e-2],
  ['q8', 'model_quantized.onnx', 5e-2],
] as const) {
  testWithRuntime(`tokens of a model in ${precision} are those of the encoder, for any number of images`, async (t) => {
    const { encoder, tokensOf } = await smallEncoder(t);
    const folder = await temporaryFolder(t);
    const written = await writeOnnx(folder, encoder, { precision });
    t.deepEqual(written, { files: [join(folder, file)], externalData: {} });
    const model = await openModel(join(folder, file));
    for (const count of [1, 3]) {
      const images = randomImages(count);
      const { name, shape, data } = await model.run(images, [count, 3, S, S]);
      t.is(name, 'last_hidden_state');
      t.deepEqual(shape, [count, N, D]);
      const expected = await tokensOf(images, count);
      const difference = relativeDifference(data, expected);
      t.true(difference < tolerance, `off by ${difference}, allowed ${tolerance}`);
      t.true(cosine(data, expected) > 0.999);
    }
    await model.close();
  });
}

const PARTS: Partial<VitSize>[] = [
  { classToken: true },
  { layerScale: true, normEpsilon: 1e-3 },
  { relativePositions: true },
  { relativePositions: true, layerScale: true, classToken: true },
];
for (const parts of PARTS) {
  testWithRuntime(`tokens are the same with ${Object.keys(parts).join(', ')}`, async (t) => {
    const { encoder, tokensOf } = await smallEncoder(t, parts);
    const { files } = await writeOnnx(await temporaryFolder(t), encoder, { precision: 'fp32' });
    const model = await openModel(files[0] as string);
    const images = randomImages(2);
    const { shape, data } = await model.run(images, [2, 3, S, S]);
    t.deepEqual(shape, [2, parts.classToken ? 1 + N : N, D]);
    t.true(relativeDifference(data, await tokensOf(images, 2)) < 1e-5);
    await model.close();
  });
}

for (const [seen, parts, first, count] of [
  ['the mean over patches', {}, 0, N],
  ['the mean over patches, without the class token', { classToken: true }, 1, N],
  ['the class token', { classToken: true, classFeatures: true }, 0, 1],
] as const) {
  testWithRuntime(`a model with a classifier gives its logits of ${seen}`, async (t) => {
    const { encoder, tokensOf } = await smallEncoder(t, parts);
    const stream = new RandomStream(1, 'classifier');
    const weight = Float32Array.from({ length: 7 * D }, () => stream.normal());
    const bias = Float32Array.from({ length: 7 }, () => stream.normal());
    const options = { precision: 'fp32', classifier: { weight, bias } } as const;
    const { files } = await writeOnnx(await temporaryFolder(t), encoder, options);
    const images = randomImages(2);
    const model = await openModel(files[0] as string);
    const { name, shape, data } = await model.run(images, [2, 3, S, S]);
    t.is(name, 'logits');
    t.deepEqual(shape, [2, 7]);
    const tokens = await tokensOf(images, 2);
    const expected = tf.tidy(() => {
      const pooled = tf.tensor(tokens, [2, tokens.length / 2 / D, D]).slice([0, first, 0], [-1, count, -1]);
      return pooled
        .mean(1)
        .matMul(tf.tensor(weight, [7, D]), false, true)
        .add(tf.tensor1d(bias));
    });
    t.true(relativeDifference(data, await expected.data()) < 1e-5);
    expected.dispose();
    await model.close();
  });
}

testWithRuntime('weights beyond the largest size of a file lie beside the model, and give the same', async (t) => {
  const { encoder } = await smallEncoder(t);
  const folder = await temporaryFolder(t);
  const whole = await openModel((await writeOnnx(folder, encoder, { precision: 'q8' })).files[0] as string);
  const apart = await temporaryFolder(t);
  const largestFile = 40_000;
  const { files, externalData } = await writeOnnx(apart, encoder, { precision: 'q8', largestFile });
  const dataFiles = files.slice(1).map((path) => basename(path));
  t.true(dataFiles.length > 2);
  t.deepEqual(
    dataFiles,
    dataFiles.map((_, at) => `model_quantized.onnx_data${at === 0 ? '' : `_${at}`}`),
  );
  t.deepEqual(externalData, { 'model_quantized.onnx': dataFiles.length });
  t.deepEqual(readdirSync(apart).sort(), files.map((path) => basename(path)).sort());
  for (const path of files) t.true(statSync(path).size <= largestFile, path);
  const split = await openModel(files[0] as string);
  const images = randomImages(2);
  t.deepEqual(await split.run(images, [2, 3, S, S]), await whole.run(images, [2, 3, S, S]));
  await whole.close();
  await split.close();
});

test('where one file cannot be written, a model from before is untouched and nothing is left', async (t) => {
  const { encoder } = await smallEncoder(t);
  const folder = await temporaryFolder(t);
  const model = join(folder, 'model.onnx');
  writeFileSync(model, 'from before');
  mkdirSync(join(folder, 'model.onnx_data_1'));
  const failing = writeOnnx(folder, encoder, { precision: 'fp32', largestFile: 40_000 });
  await t.throwsAsync(failing, { instanceOf: UserError, message: /model\.onnx_data_1/ });
  t.is(readFileSync(model, 'utf8'), 'from before');
  t.false(readdirSync(folder).some((name) => name.endsWith('.unfinished')));
});

/** An encoder of random weights, and what it gives by the program's own engine: images [B, 3, S, S] -> tokens [B, N, D]. */
async function smallEncoder(t: ExecutionContext, parts: Partial<VitSize> = {}) {
  const { startEngine } = await import('../../core/engine/start.js');
  await startEngine('wasm');
  const checkpoint = await smallCheckpoint(t, { ...SMALL_SIZE, encoder: { ...SMALL_SIZE.encoder, ...parts } });
  const encoder = await readEncoder(checkpoint, null);
  const network = await loadNetwork(checkpoint);
  const backbone = transformerBackbone(network, 'what is tried');
  t.teardown(() => {
    network.dispose();
    backbone.dispose();
  });
  const tokensOf = async (images: Float32Array, count: number) => {
    const tokens = tf.tidy(() =>
      backbone.forward(network.encoder, tf.tensor(images, [count, 3, S, S]).transpose([0, 2, 3, 1])),
    );
    const data = (await tokens.data()) as Float32Array;
    tokens.dispose();
    return data;
  };
  return { encoder, tokensOf };
}

function randomImages(count: number): Float32Array {
  const stream = new RandomStream(count, 'pixels');
  return Float32Array.from({ length: count * 3 * S * S }, () => stream.normal());
}

function cosine(x: Float32Array, y: Float32Array): number {
  const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, at) => sum + value * (b[at] as number), 0);
  return dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
}
