import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { tf } from '../../core/engine/tf.js';
import { ijepa, ijepaHere, SMALLEST, temporaryFolder } from '../helpers/command.js';
import { relativeDifference } from '../helpers/engines.js';

test.serial('engine list says of every engine whether it is there, or why not', async (t) => {
  const { code, stdout } = await ijepaHere(['engine', 'list', '--json']);
  t.is(code, 0);
  const rows: { engine: string; present: boolean; reason: string | null; isAuto: boolean; matMulGflops: number }[] =
    JSON.parse(stdout);
  t.deepEqual(
    rows.map(({ engine }) => engine),
    ['tensorflow-gpu', 'onnx', 'openvino', 'tensorflow', 'wasm', 'cpu'],
  );
  for (const row of rows) t.true(row.present ? row.matMulGflops > 0 : (row.reason?.length ?? 0) > 10, row.engine);
  t.is(rows.filter(({ isAuto }) => isAuto).length, 1);
  t.true(rows.find(({ isAuto }) => isAuto)?.present);
});

test('tf has the gradients and chained methods of the whole of TensorFlow.js', async (t) => {
  tf.enableProdMode();
  await tf.setBackend('cpu');
  const gradient = tf.grad((x) => x.square().mul(2).elu().logSumExp().add(x.mod(2).sum()));
  const [first, second] = await gradient(tf.tensor([1, 2])).data();
  // d/dx log(e^(2x^2) + ...) is 4x times the softmax of 2x^2; that of the remainder is 1.
  const share = 1 / (1 + Math.exp(2 - 8));
  t.true(Math.abs((first ?? 0) - (4 * (1 - share) + 1)) < 1e-5);
  t.true(Math.abs((second ?? 0) - (8 * share + 1)) < 1e-5);
  for (const kernel of [
    'Conv2D',
    'MaxPool',
    'ResizeBilinear',
    'GatherV2',
    'LogSoftmax',
    'Cumsum',
    'UnsortedSegmentSum',
  ]) {
    t.truthy(tf.getGradient(kernel), kernel);
  }
});

test.serial('bench prints an array with the figures of each engine', async (t) => {
  const { code, stdout, stderr } = await ijepa(
    'bench --engine auto,wasm --config tiny --set depth=1,dim=24,heads=1 --steps 1 --drawn-masks --json'.split(' '),
  );
  t.is(code, 0, stderr);
  const results: Record<string, unknown>[] = JSON.parse(stdout);
  t.is(results.length, 2);
  t.deepEqual(Object.keys(results[0] ?? {}), [
    'engine',
    'version',
    'device',
    'method',
    'config',
    'threads',
    'ranks',
    'exchangedBytes',
    'exchangeSeconds',
    'secondsPerStep',
    'minSeconds',
    'meanSeconds',
    'imagesPerSecond',
    'updateSeconds',
    'parameters',
    'firstStepSeconds',
    'peakMemoryMiB',
    'gflops',
  ]);
  t.is(results[1]?.engine, 'wasm');
  t.true(results.every(({ secondsPerStep, gflops }) => Number(secondsPerStep) > 0 && Number(gflops) > 0));
  const wrong = await ijepaHere(['bench', '--engine', 'onx']);
  t.is(wrong.code, 2);
  t.regex(wrong.stderr, /--engine cannot be "onx"[\s\S]*did you mean 'onnx'/);
});

test.serial('the device webgpu computes what the processor computes, or says why it cannot', async (t) => {
  const folder = await temporaryFolder(t);
  const train = (device: string) =>
    ijepa([
      'pretrain',
      ...SMALLEST,
      '--epochs',
      '1',
      '--engine',
      'onnx',
      '--device',
      device,
      '--out',
      join(folder, device),
    ]);
  const losses = (device: string): number[] =>
    readFileSync(join(folder, device, 'log.jsonl'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).loss);
  const { code, stderr } = await train('webgpu');
  if (code !== 0) {
    t.is(code, 2, stderr);
    t.regex(stderr, /the device webgpu is not available: \S.*\n {2}expected: a graphics card/);
    t.false(existsSync(join(folder, 'webgpu')));
    t.log('skipped: no adapter');
    return;
  }
  t.is((await train('cpu')).code, 0);
  t.true(relativeDifference(losses('webgpu'), losses('cpu')) < 1e-4);
});

test.serial('only the engine onnx takes a device', async (t) => {
  const { code, stderr } = await ijepaHere('bench --engine wasm --device webgpu --config tiny --steps 1'.split(' '));
  t.is(code, 2);
  t.regex(stderr, /the engine wasm cannot compute on the device webgpu[\s\S]*--engine onnx --device webgpu/);
});
