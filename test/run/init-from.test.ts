import { join } from 'node:path';
import test from 'ava';
import { createConsole } from '../../core/base/console.js';
import { UserError } from '../../core/base/errors.js';
import { readSafetensors, writeSafetensors } from '../../core/checkpoint/safetensors.js';
import { startEngine } from '../../core/engine/start.js';
import { readEncoder } from '../../core/exchange/read.js';
import { FORMS } from '../../core/exchange/write.js';
import { networksFrom } from '../../core/run/init-from.js';
import { initialNetworks } from '../../core/train/state.js';
import { ijepa, SMALLEST, temporaryFolder } from '../helpers/command.js';
import { SMALL_SIZE, smallCheckpoint } from '../helpers/features.js';
import { methodOf } from '../helpers/method.js';

test.before(async () => {
  await startEngine('wasm');
});

const { imageSize, patchSize, encoder } = SMALL_SIZE;
const run = (more: object = {}) =>
  methodOf({ imageSize, patchSize, dim: encoder.dim, depth: encoder.depth, heads: encoder.heads, seed: 7, ...more });
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

test('a model of other sizes is refused with the options that fit it', async (t) => {
  const { method, options } = run({ depth: 4 });
  const error = await t.throwsAsync(networksFrom(await smallCheckpoint(t), method, options, quiet), {
    instanceOf: UserError,
    message: /of another model \(16 x 5, 2 heads, patches of 4\) than this run \(16 x 4, 2 heads, patches of 4\)/,
  });
  t.regex((error as UserError).report, /use --dim 16 --depth 5 --heads 2 --patch-size 4/);
});

test('a run that starts from a model says so, and one that cannot leaves no folder', async (t) => {
  const folder = await temporaryFolder(t);
  const size = { ...SMALL_SIZE, encoder: { ...encoder, depth: 1 } };
  const args = ['pretrain', ...SMALLEST, '--epochs', '1', '--out', 'run', '--init-from'];
  const refused = await ijepa([...args, await smallCheckpoint(t)], folder);
  t.is(refused.code, 2);
  t.regex(refused.stderr, /is of another model/);
  const started = await ijepa([...args, await smallCheckpoint(t, size)], folder);
  t.is(started.code, 0, started.stderr);
  t.regex(started.stdout, /start +encoder, target_encoder of .*; fresh: predictor/);
});
