import { join } from 'node:path';
import test from 'ava';
import { createConsole } from '../../core/base/console.js';
import { UserError } from '../../core/base/errors.js';
import { readSafetensors, writeSafetensors } from '../../core/checkpoint/safetensors.js';
import { startEngine } from '../../core/engine/start.js';
import { readEncoder } from '../../core/exchange/read.js';
import { FORMS } from '../../core/exchange/write.js';
import { METHODS } from '../../core/methods/registry.js';
import { networksFrom } from '../../core/run/init-from.js';
import { initialNetworks } from '../../core/train/state.js';
import { ijepaHere, SMALLEST, temporaryFolder } from '../helpers/command.js';
import { SMALL_SIZE, smallCheckpoint } from '../helpers/features.js';
import { methodOf } from '../helpers/method.js';

test.before(async () => {
  await startEngine('wasm');
});

const { imageSize, patchSize, encoder } = SMALL_SIZE;
const SMALL_PREDICTOR = { predictorDim: 16, predictorDepth: 2 };
const run = (more: object = {}) =>
  methodOf({
    imageSize,
    patchSize,
    dim: encoder.dim,
    depth: encoder.depth,
    heads: encoder.heads,
    seed: 7,
    ...SMALL_PREDICTOR,
    ...more,
  });
const quiet = createConsole(true);

test('each encoder starts from the one of its name, the predictor fresh where there is none', async (t) => {
  const path = await smallCheckpoint(t);
  const { method, options } = run();
  const networks = await networksFrom(path, method, options, quiet);
  const fresh = initialNetworks(method, options.seed);
  const { tensors } = await readSafetensors(path);
  for (const network of ['encoder', 'target_encoder']) {
    for (const [name, tensor] of Object.entries(networks[network])) {
      t.deepEqual(await tensor.data(), tensors.get(`${network}.${name}`)?.data, `${network}.${name}`);
    }
  }
  for (const [name, tensor] of Object.entries(networks.predictor)) {
    t.deepEqual(await tensor.data(), await fresh.predictor[name].data(), name);
  }
});

test('both encoders start from the only one of a folder of another program', async (t) => {
  const checkpoint = await smallCheckpoint(t);
  const folder = await temporaryFolder(t);
  await FORMS.hf.write(await readEncoder(checkpoint, 'context'), folder);
  const { method, options } = run();
  const networks = await networksFrom(folder, method, options, quiet);
  const { tensors } = await readSafetensors(checkpoint);
  const name = 'blocks.2.attn.qkv.weight';
  for (const network of ['encoder', 'target_encoder']) {
    t.deepEqual(await networks[network][name].data(), tensors.get(`encoder.${name}`)?.data);
  }
});

test('a predictor of the same sizes is taken, too, and what belongs to no encoder stays fresh', async (t) => {
  const path = await smallCheckpoint(t);
  const { method, options } = run();
  const { tensors, metadata } = await readSafetensors(path);
  const shapes = method.networks.predictor.shapes;
  for (const [name, shape] of Object.entries(shapes)) {
    const data = new Float32Array(shape.reduce((product, side) => product * side, 1)).fill(0.5);
    tensors.set(`predictor.${name}`, { shape, data });
  }
  const whole = join(await temporaryFolder(t), 'whole.safetensors');
  await writeSafetensors(whole, tensors, metadata);
  const { predictor } = await networksFrom(whole, method, options, quiet);
  for (const tensor of Object.values(predictor)) t.true((await tensor.data()).every((x) => x === 0.5));
  const other = run({ predictorDim: 8 });
  const { predictor: fresh } = await networksFrom(whole, other.method, other.options, quiet);
  t.false((await fresh['predictor_embed.weight'].data()).some((x) => x === 0.5));
});

test('a preset that names weights of the program starts from them', async (t) => {
  for (const { name, presets } of METHODS) {
    for (const [preset, { options: given }] of Object.entries(presets)) {
      if (!('initFrom' in given)) continue;
      const { method, options } = methodOf({ method: name, ...given, epochs: 1, imagesSeen: null });
      const networks = await networksFrom(String(given.initFrom), method, options, quiet);
      const { tensors } = await readEncoder(String(given.initFrom), null);
      for (const [parameter, { data }] of tensors) {
        t.deepEqual(await networks.encoder[parameter].data(), data, `${preset}: ${parameter}`);
      }
    }
  }
});

test('a model of other sizes is refused with the options that fit it', async (t) => {
  const { method, options } = run({ depth: 4 });
  const error = await t.throwsAsync(networksFrom(await smallCheckpoint(t), method, options, quiet), {
    instanceOf: UserError,
    message: /of another model \(16 x 5, 2 heads, patches of 4\) than this run \(16 x 4, 2 heads, patches of 4\)/,
  });
  t.regex((error as UserError).report, /use --dim 16 --depth 5 --heads 2 --patch-size 4/);
});

test.serial('a run that starts from a model says so, and one that cannot leaves no folder', async (t) => {
  const folder = await temporaryFolder(t);
  const size = { ...SMALL_SIZE, encoder: { ...encoder, depth: 1 } };
  const args = ['pretrain', ...SMALLEST, '--epochs', '1', '--out', 'run', '--init-from'];
  const refused = await ijepaHere([...args, await smallCheckpoint(t)], folder);
  t.is(refused.code, 2);
  t.regex(refused.stderr, /is of another model/);
  const model = await smallCheckpoint(t, size);
  const started = await ijepaHere([...args, model], folder);
  t.is(started.code, 0, started.stderr);
  t.regex(started.stdout, /start +encoder, target_encoder of .*; fresh: predictor/);
  const { metadata } = await readSafetensors(join(folder, 'run', 'checkpoints', 'latest.safetensors'));
  t.is(metadata.data, `shapes:48 (from ${model})`);
});

test.serial(
  'a run that goes on with the state of another, by way of a file of PyTorch, ends where that one does, bit for bit',
  async (t) => {
    const folder = await temporaryFolder(t);
    const saved = ['--epochs', '2', '--save-every-epochs', '1', '--keep-checkpoints', '5'];
    const start = (...more: string[]) => ijepaHere(['pretrain', ...SMALLEST, ...saved, ...more], folder);
    t.is((await start('--out', 'whole')).code, 0);
    const middle = 'whole/checkpoints/epoch-0001.safetensors';
    const exported = await ijepaHere(['export', middle, '--to', 'pth', '--out', 'middle'], folder);
    t.is(exported.code, 0, exported.stderr);
    const other = ['--init-from', 'middle/checkpoint.pth.tar', '--resume-optimizer'];
    const rest = await start('--out', 'rest', ...other);
    t.is(rest.code, 0, rest.stderr);
    t.regex(rest.stdout, /start +middle\/checkpoint\.pth\.tar after epoch 1, with its moments of 6 steps/);
    const latest = (run: string) => readSafetensors(join(folder, run, 'checkpoints', 'latest.safetensors'));
    t.deepEqual((await latest('rest')).tensors, (await latest('whole')).tensors);
    const again = await start('--out', 'rest', '--resume');
    t.is(again.code, 0, again.stderr);
    t.is(again.stderr, '');

    const cases: [words: string[], message: RegExp][] = [
      [['--resume-optimizer'], /goes on with nothing/],
      [[...other, '--epochs', '1'], /was trained for 1 epoch, and this run has 1/],
      [[...other, '--optimiser', 'sgd'], /has no encoder\.patch_embed\.proj\.weight .* for sgd/],
      [[...other, '--predictor-depth', '2'], /has no predictor\.predictor_blocks\.1/],
    ];
    for (const [words, message] of cases) {
      const { code, stderr } = await ijepaHere(
        ['pretrain', ...SMALLEST, ...saved, '--out', 'refused', ...words],
        folder,
      );
      t.is(code, 2, words.join(' '));
      t.regex(stderr, message);
    }
  },
);
