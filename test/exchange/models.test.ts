import { readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { UserError } from '../../core/base/errors.js';
import { readSafetensors, type StoredTensor, writeSafetensors } from '../../core/checkpoint/safetensors.js';
import { startEngine } from '../../core/engine/start.js';
import { tf } from '../../core/engine/tf.js';
import { loadNetwork, networkBackbone } from '../../core/eval/network.js';
import { readEncoder } from '../../core/exchange/read.js';
import { FORMS } from '../../core/exchange/write.js';
import { sincosTable } from '../../core/nn/positions.js';
import { temporaryFolder } from '../helpers/command.js';
import { relativeDifference } from '../helpers/engines.js';
import { SMALL_SIZE, smallCheckpoint } from '../helpers/features.js';

test.before(async () => {
  await startEngine('wasm');
});

const { imageSize, encoder: PLAIN } = SMALL_SIZE;
const PARTS = {
  'a plain encoder': PLAIN,
  'an encoder with class token': { ...PLAIN, classToken: true },
  'an encoder with class token and layer scales': { ...PLAIN, classToken: true, layerScale: true },
};

for (const [what, encoder] of Object.entries(PARTS)) {
  for (const form of ['hf', 'timm', 'safetensors'] as const) {
    test(`${what} that was written as ${form} gives the same features, bit for bit`, async (t) => {
      const checkpoint = await smallCheckpoint(t, { ...SMALL_SIZE, encoder });
      const folder = await written(t, form, checkpoint);
      const place = form === 'safetensors' ? join(folder, 'model.safetensors') : folder;
      t.deepEqual(await featuresOf(place), await featuresOf(checkpoint));
      t.like((await readEncoder(place, null)).facts, { method: 'I-JEPA', epochs: 3, encoder: 'encoder' });
    });
  }
}

test('the encoder that is asked for is the one that is written', async (t) => {
  const checkpoint = await smallCheckpoint(t);
  const folder = await temporaryFolder(t);
  await FORMS.hf.write(await readEncoder(checkpoint, 'context'), folder);
  t.deepEqual(await featuresOf(folder), await featuresOf(checkpoint, 'context'));
  t.notDeepEqual(await featuresOf(folder), await featuresOf(checkpoint, 'target'));
});

test('relative positions have no place in transformers and timm, and keep theirs in plain weights', async (t) => {
  const encoder = { ...PLAIN, classToken: true, layerScale: true, relativePositions: true };
  const checkpoint = await smallCheckpoint(t, { ...SMALL_SIZE, encoder });
  for (const form of ['hf', 'timm'] as const) {
    await t.throwsAsync(written(t, form, checkpoint), {
      instanceOf: UserError,
      message: /has no model with the parts/,
    });
  }
  const plain = join(await written(t, 'safetensors', checkpoint), 'model.safetensors');
  t.deepEqual(await featuresOf(plain), await featuresOf(checkpoint));
});

test('a head goes with an encoder, and one that would see a class token alone is refused', async (t) => {
  const [weight, bias] = [Float32Array.from({ length: 2 * PLAIN.dim }, (_, i) => i), Float32Array.of(0.5, -1)];
  const classifier = { weight, bias, classes: ['a', 'b'], transform: 'squash', interpolation: 'bilinear' } as const;
  const written = async (encoder: typeof PLAIN) => {
    const folder = await temporaryFolder(t);
    const checkpoint = await smallCheckpoint(t, { ...SMALL_SIZE, encoder });
    await FORMS.hf.write(await readEncoder(checkpoint, null), folder, { classifier });
    t.deepEqual(await featuresOf(folder), await featuresOf(checkpoint));
    const json = async (name: string) => JSON.parse(await readFile(join(folder, name), 'utf8'));
    const [config, processor] = [await json('config.json'), await json('preprocessor_config.json')];
    return { config, processor, tensors: (await readSafetensors(join(folder, 'model.safetensors'))).tensors };
  };
  const plain = await written(PLAIN);
  t.like(plain.config, {
    architectures: ['IJepaForImageClassification'],
    id2label: { 0: 'a', 1: 'b' },
    label2id: { a: 0, b: 1 },
  });
  t.like(plain.processor, { size: { height: 16, width: 16 }, do_center_crop: false, resample: 2 });
  t.deepEqual(plain.tensors.get('classifier.weight'), { shape: [2, 16], data: weight });
  t.deepEqual(plain.tensors.get('classifier.bias'), { shape: [2], data: bias });
  const wide = await written(PARTS['an encoder with class token and layer scales']);
  const rows = wide.tensors.get('classifier.weight')?.data as Float32Array;
  t.deepEqual([...rows.subarray(48)], [...weight.subarray(16)]);
  t.true(rows.subarray(32, 48).every((x) => x === 0));
  await t.throwsAsync(written(PARTS['an encoder with class token']), {
    instanceOf: UserError,
    message: /a ViTModel has no place for a head/,
  });
});

test('sizes are read off weights that do not tell them', async (t) => {
  const folder = await written(t, 'timm', await smallCheckpoint(t));
  const path = join(folder, 'model.safetensors');
  const { size } = await readEncoder(path, null, { heads: 2 });
  t.deepEqual(size, SMALL_SIZE);
  const error = await t.throwsAsync(readEncoder(path, null), {
    instanceOf: UserError,
    message: /how many attention heads/,
  });
  t.regex((error as UserError).report, /convert .* --heads NUMBER/);
  const { tensors } = await readSafetensors(path);
  tensors.delete('pos_embed');
  await writeSafetensors(path, tensors, {});
  await t.throwsAsync(readEncoder(path, null, { heads: 2 }), {
    message: /does not tell of which size its images were/,
  });
  t.deepEqual((await readEncoder(path, null, { heads: 2, imageSize })).size, SMALL_SIZE);
});

test('positions that were learned are used as they are, and interpolated elsewhere', async (t) => {
  const folder = await written(t, 'hf', await smallCheckpoint(t));
  const sineCosine = await featuresOf(folder);
  await changeTensors(folder, (tensors) => {
    const positions = tensors.get('embeddings.position_embeddings')?.data as Float32Array;
    positions.set(positions.map((x) => x * 0.5));
  });
  t.true(relativeDifference(await featuresOf(folder), sineCosine) > 1e-3);
  const { positions } = await readEncoder(folder, null);
  t.deepEqual(
    positions,
    sincosTable(4, 16).map((x) => x * 0.5),
  );
  const again = await temporaryFolder(t);
  await FORMS.hf.write(await readEncoder(folder, null), again);
  t.deepEqual(await featuresOf(again), await featuresOf(folder));
});

test('an encoder of images that were normalised otherwise is made one of ours', async (t) => {
  const folder = await written(
    t,
    'hf',
    await smallCheckpoint(t, { ...SMALL_SIZE, encoder: PARTS['an encoder with class token'] }),
  );
  const mean = [0.5, 0.4, 0.3];
  const std = [0.5, 0.25, 0.2];
  await writeFile(join(folder, 'preprocessor_config.json'), JSON.stringify({ image_mean: mean, image_std: std }));
  const pixels = Float32Array.from({ length: imageSize * imageSize * 3 }, (_, i) => (i * 37) % 256);
  const normalised = (means: readonly number[], deviations: readonly number[]) =>
    pixels.map((x, i) => (x / 255 - means[i % 3]) / deviations[i % 3]);
  const ours = await featuresOf(folder, null, normalised([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]));
  await writeFile(join(folder, 'preprocessor_config.json'), '{}');
  const theirs = await featuresOf(folder, null, normalised(mean, std));
  t.true(relativeDifference(ours, theirs) < 1e-5);
});

test("I-JEPA's published processors name colours that it was not trained on: a note says that ImageNet's are used", async (t) => {
  const checkpoint = await smallCheckpoint(t);
  const folder = await written(t, 'hf', checkpoint);
  t.deepEqual((await readEncoder(folder, null)).notes, []);
  const half = { image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5] };
  await writeFile(join(folder, 'preprocessor_config.json'), JSON.stringify(half));
  t.regex((await readEncoder(folder, null)).notes.join(), /ImageNet's are used/);
  t.deepEqual(await featuresOf(folder), await featuresOf(checkpoint));
});

test('weights in several files are those of one file', async (t) => {
  const folder = await written(t, 'hf', await smallCheckpoint(t));
  const expected = await featuresOf(folder);
  const { tensors } = await readSafetensors(join(folder, 'model.safetensors'));
  const names = [...tensors.keys()];
  const weightMap: Record<string, string> = {};
  for (const [at, part] of [names.slice(0, 30), names.slice(30)].entries()) {
    const file = `model-0000${at + 1}-of-00002.safetensors`;
    const kept = new Map(part.map((name) => [name, tensors.get(name) as StoredTensor]));
    await writeSafetensors(join(folder, file), kept, {});
    for (const name of part) weightMap[name] = file;
  }
  await rm(join(folder, 'model.safetensors'));
  const index = join(folder, 'model.safetensors.index.json');
  await writeFile(index, JSON.stringify({ weight_map: weightMap }));
  t.deepEqual(await featuresOf(folder), expected);
  await writeFile(index, JSON.stringify({ weight_map: { norm: '../../etc/passwd' } }));
  await t.throwsAsync(readEncoder(folder, null), { instanceOf: UserError, message: /does not say which file/ });
});

test('a folder that is not what it says is refused with one message', async (t) => {
  const folder = await written(t, 'hf', await smallCheckpoint(t));
  const path = join(folder, 'config.json');
  const config = JSON.parse(await readFile(path, 'utf8'));
  const cases: [change: object | string, message: RegExp][] = [
    ['{', /is not JSON/],
    ['[]', /describes a model of the type null/],
    [{ model_type: 'swin' }, /describes a model of the type swin/],
    [{ hidden_act: 'gelu_new' }, /not supported: hidden_act/],
    [{ qkv_bias: false }, /not supported: qkv_bias/],
    [{ num_channels: 1 }, /not supported: num_channels/],
    [{ image_size: 18 }, /not supported: its sizes/],
    [{ num_attention_heads: 3 }, /not supported: its sizes/],
    [{ hidden_size: -4 }, /not supported: hidden_size/],
    [{ patch_size: 1e-9 }, /not supported: patch_size/],
    [{ num_hidden_layers: 1e9 }, /tensors make no 1000000000 blocks/],
    [{ hidden_size: 2 ** 30 }, /instead of/],
    [{ intermediate_size: 2 ** 40 }, /instead of/],
    [{ num_hidden_layers: 4 }, /no place for the tensor encoder\.layer\.4/],
    [{ image_size: 32 }, /embeddings\.position_embeddings is \[1,16,16\] instead of \[1,64,16\]/],
    [{ image_size: 4e9, patch_size: 1 }, /not supported: its sizes/],
  ];
  for (const [change, message] of cases) {
    const text = typeof change === 'string' ? change : JSON.stringify({ ...config, ...change });
    await writeFile(path, text);
    await t.throwsAsync(readEncoder(folder, null), { instanceOf: UserError, message }, text);
  }
  await writeFile(path, JSON.stringify(config));
  await t.throwsAsync(readEncoder(folder, 'target'), { message: /unknown encoder 'target'/ });
  await changeTensors(folder, (tensors) => tensors.delete('layernorm.bias'));
  await t.throwsAsync(readEncoder(folder, null), {
    message: /the tensor layernorm\.bias is not there instead of \[16\]/,
  });
  await truncate(join(folder, 'model.safetensors'), 1000);
  await t.throwsAsync(readEncoder(folder, null), {
    instanceOf: UserError,
    message: /damaged or not a safetensors file/,
  });
  await rm(join(folder, 'model.safetensors'));
  await t.throwsAsync(readEncoder(folder, null), { instanceOf: UserError, message: /there is no model\.safetensors/ });
});

async function written(t: ExecutionContext, form: keyof typeof FORMS, checkpoint: string): Promise<string> {
  const folder = await temporaryFolder(t);
  await FORMS[form].write(await readEncoder(checkpoint, null), folder);
  return folder;
}

async function changeTensors(folder: string, change: (tensors: Map<string, StoredTensor>) => unknown): Promise<void> {
  const path = join(folder, 'model.safetensors');
  const { tensors, metadata } = await readSafetensors(path);
  change(tensors);
  await writeSafetensors(path, tensors, metadata);
}

/** Features of two images of 20 pixels, at which positions are interpolated; or of one that is given. */
async function featuresOf(model: string, encoder: string | null = null, pixels?: Float32Array) {
  const network = await loadNetwork(model, encoder);
  const side = pixels ? imageSize : 20;
  const drawn = Float32Array.from({ length: 2 * side * side * 3 }, (_, i) => Math.sin(i * i));
  const images = tf.tensor4d(pixels ?? drawn, [pixels ? 1 : 2, side, side, 3]);
  const backbone = networkBackbone({ ...network, imageSize: side });
  const features = (await backbone.features(network.encoder, images, 2).data()) as Float32Array;
  backbone.dispose();
  network.dispose();
  return features;
}
