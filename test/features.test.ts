import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { readSafetensors, writeSafetensors } from '../core/checkpoint/safetensors.js';
import { tf } from '../core/engine/tf.js';
import { UserError } from '../core/errors.js';
import { extractFeatures, featureColumns, prepareFeatures } from '../core/eval/features.js';
import { atImageSize, type FeatureNetwork, loadNetwork, randomNetwork } from '../core/eval/network.js';
import { createIjepa, encodeImages } from '../core/model/ijepa.js';
import { interpolatePositions, sincosTable } from '../core/model/positions.js';
import type { ModelSize } from '../core/model/sizes.js';
import { RandomStream } from '../core/random.js';
import { temporaryFolder } from './helpers/command.js';
import { findEngines, relativeDifference, testOnEngines } from './helpers/engines.js';
import { EXTRACTION, SMALL_SIZE, smallCheckpoint, someImages } from './helpers/features.js';
import { FIXTURES } from './helpers/paths.js';

const REFERENCE = process.env.IJEPA_REFERENCE ?? join(FIXTURES, 'reference');
/** Largest difference from the reference's features, relative to the largest of them. */
const TOLERANCE = 1e-4;

const engines = await findEngines();

for (const name of readdirSync(REFERENCE).filter((found) => found.startsWith('case-'))) {
  testOnEngines(test, engines, `${name}: pooled features are the mean of the reference's`, async (t, engine) => {
    const { network, images, expected } = await referenceCase(t, name);
    const { compute, dispose } = prepareFeatures(engine, network);
    const features = await compute(images);
    const { dim } = network.size;
    const columns = features.length / expected.length;
    t.is(columns, Math.min(4, network.size.depth) * dim);
    const last = expected.flatMap((_, image) => [
      ...features.subarray((image + 1) * columns - dim, (image + 1) * columns),
    ]);
    const difference = relativeDifference(last, expected.flat());
    t.true(difference <= TOLERANCE, `off by ${difference}, allowed ${TOLERANCE}`);
    dispose();
    network.dispose();
  });
}

testOnEngines(
  test,
  engines,
  'each layer of a network is the output of the network that ends there',
  async (t, engine) => {
    const network = await loadNetwork(await smallCheckpoint(t), 'target');
    const { dim, depth } = network.size;
    const pixels = randomPixels(3);
    const { compute, dispose } = prepareFeatures(engine, network);
    const features = await compute(pixels);
    t.is(features.length, 3 * 4 * dim);
    for (let layer = 0; layer < 4; layer++) {
      const encoder = { ...SMALL_SIZE.encoder, depth: depth - 3 + layer };
      const model = createIjepa({ ...SMALL_SIZE, encoder });
      const input = tf.tensor4d(pixels, [3, SMALL_SIZE.imageSize, SMALL_SIZE.imageSize, 3]);
      const pooled = tf.tidy(() => encodeImages(model, network.encoder, input).mean(1)); // [3, D]
      const columns = [0, 1, 2].flatMap((row) => [
        ...features.subarray((row * 4 + layer) * dim, (row * 4 + layer + 1) * dim),
      ]);
      t.true(relativeDifference(columns, await pooled.data()) < 1e-5, `layer ${layer}`);
      model.dispose();
      tf.dispose([input, pooled]);
    }
    dispose();
    network.dispose();
  },
);

testOnEngines(test, engines, 'extraction leaves no tensors behind', async (t, engine) => {
  const network = await loadNetwork(await smallCheckpoint(t), 'target');
  const images = someImages(6);
  await extractFeatures(engine, network, images, EXTRACTION);
  const before = tf.memory().numTensors;
  await extractFeatures(engine, network, images, EXTRACTION);
  t.is(tf.memory().numTensors, before);
  network.dispose();
});

test('interpolated positions are the table itself at the size of training', (t) => {
  const table = sincosTable(6, 16);
  t.deepEqual(interpolatePositions(table, 6, 6), table);
});

test('positions are interpolated as PyTorch interpolates', (t) => {
  // torch 1.13: F.interpolate(arange(9).reshape(3, 3) ** 2, size=n, mode='bicubic', align_corners=False)
  const table = Float32Array.from({ length: 9 }, (_, index) => index ** 2);
  const golden: Record<number, number[]> = {
    2: [1.43076, 6.52237, 32.39737, 53.18076],
    5: [
      -0.9047, -0.87401, -0.44, 1.07402, 2.21671, 1.26999, 2.31915, 4.44401, 7.64888, 9.81003, 8.328, 11.06801,
      16.00001, 22.01201, 25.86401, 25.10602, 29.53687, 37.276, 46.09514, 51.63799, 37.28871, 42.73803, 52.16801,
      62.678, 69.23932,
    ],
  };
  for (const [grid, expected] of Object.entries(golden)) {
    t.true(relativeDifference(interpolatePositions(table, 3, Number(grid)), expected) < 1e-6);
  }
});

test('features of several columns are interpolated each by itself', (t) => {
  const table = sincosTable(4, 8);
  const whole = interpolatePositions(table, 4, 7);
  for (let column = 0; column < 8; column++) {
    const alone = interpolatePositions(
      table.filter((_, at) => at % 8 === column),
      4,
      7,
    );
    t.deepEqual(
      whole.filter((_, at) => at % 8 === column),
      alone,
    );
  }
});

test.serial('rows come image by image and view by view, with labels and names', async (t) => {
  const { engine, network } = await small(t);
  const images = someImages(5);
  const table = await extractFeatures(engine, network, images, { ...EXTRACTION, views: 2, batchSize: 3 });
  t.is(table.rows, 10);
  t.deepEqual([...table.labels], [0, 0, 1, 1, 2, 2, 0, 0, 1, 1]);
  t.is(table.names[3], images.item(1).name);
  const [first, again] = [row(table, 0), row(table, 1)];
  t.notDeepEqual(first, again);
});

test.serial('features do not depend on the batch, nor on how many images are decoded at a time', async (t) => {
  const { engine, network } = await small(t);
  const images = someImages(7);
  const one = await extractFeatures(engine, network, images, { ...EXTRACTION, views: 2, batchSize: 1, workers: 1 });
  const many = await extractFeatures(engine, network, images, { ...EXTRACTION, views: 2, batchSize: 5, workers: 9 });
  t.true(relativeDifference(one.data, many.data) < 1e-5);
});

test.serial('the seed decides random views', async (t) => {
  const { engine, network } = await small(t);
  const extract = (seed: number) => extractFeatures(engine, network, someImages(3), { ...EXTRACTION, views: 1, seed });
  t.deepEqual((await extract(4)).data, (await extract(4)).data);
  t.notDeepEqual((await extract(4)).data, (await extract(5)).data);
});

test.serial('the last layer is the last columns', async (t) => {
  const { engine, network } = await small(t);
  const table = await extractFeatures(engine, network, someImages(2), EXTRACTION);
  t.is(featureColumns(table, 'last-4').length, 2 * 4 * table.width);
  const last = featureColumns(table, 'last');
  t.deepEqual(last.subarray(table.width), row(table, 1).subarray(3 * table.width));
});

test.serial('another image size works, and the size of training is unchanged by it', async (t) => {
  const { engine, network } = await small(t);
  const larger = await extractFeatures(engine, atImageSize(network, 24), someImages(2), EXTRACTION);
  t.is(larger.data.length, 2 * 4 * network.size.dim);
  t.true(larger.data.every(Number.isFinite));
  const same = await extractFeatures(engine, atImageSize(network, 16), someImages(2), EXTRACTION);
  t.deepEqual(same.data, (await extractFeatures(engine, network, someImages(2), EXTRACTION)).data);
  t.throws(() => atImageSize(network, 18), { instanceOf: UserError, message: /patches of 4/ });
});

test.serial('an unreadable image is named, or left out and counted', async (t) => {
  const { engine, network } = await small(t);
  const images = { ...someImages(6), item: (index: number) => (index === 2 ? broken : someImages(6).item(index)) };
  await t.throwsAsync(extractFeatures(engine, network, images, EXTRACTION), {
    instanceOf: UserError,
    message: /broken\.jpg/,
  });
  const table = await extractFeatures(engine, network, images, { ...EXTRACTION, views: 2, maxUnreadable: 0.2 });
  t.is(table.rows, 10);
  t.deepEqual(
    table.unreadable.map(({ name }) => name),
    ['broken.jpg'],
  );
  t.deepEqual([...table.labels], [0, 0, 1, 1, 0, 0, 1, 1, 2, 2]);
  t.false(table.names.includes('broken.jpg'));
  t.is(table.data.length, 10 * 4 * table.width);
});

test.serial('the fingerprint tells weights apart, and nothing else', async (t) => {
  const { network } = await small(t);
  const path = await smallCheckpoint(t);
  const fingerprint = async (encoder: 'target' | 'context') => (await loadNetwork(path, encoder)).facts.fingerprint;
  t.regex(network.facts.fingerprint, /^[0-9a-f]{64}$/);
  t.is(await fingerprint('target'), network.facts.fingerprint);
  t.not(await fingerprint('context'), network.facts.fingerprint);
  const random = randomNetwork(network, 1);
  t.is(randomNetwork(network, 1).facts.fingerprint, random.facts.fingerprint);
  t.not(randomNetwork(network, 2).facts.fingerprint, random.facts.fingerprint);
  t.like(random.facts, { weights: 'random', encoder: 'target', epochs: null, checkpoint: null });
  t.is(random.arch, network.arch);
});

test.serial('networks have the names of the paper where they have one', async (t) => {
  const { network } = await small(t);
  t.is(network.arch, 'ViT 16x5/4');
  t.like(network.facts, { weights: 'pretrained', encoder: 'target', epochs: 3, pretrainedOn: null });
  const size = { ...SMALL_SIZE, patchSize: 16, encoder: { dim: 192, depth: 12, heads: 3, mlpRatio: 4 } };
  const tiny = await loadNetwork(await smallCheckpoint(t, size), 'context');
  t.is(tiny.arch, 'ViT-Ti/16');
});

test.serial('what is no checkpoint, or of another architecture, is refused with one message', async (t) => {
  await small(t);
  const folder = await temporaryFolder(t);
  const path = await smallCheckpoint(t);
  const { tensors, metadata } = await readSafetensors(path);
  const write = async (name: string, model: string | undefined, drop = '-') => {
    const kept = new Map([...tensors].filter(([tensor]) => !tensor.startsWith(drop)));
    await writeSafetensors(join(folder, name), kept, model === undefined ? {} : { ...metadata, model });
    return join(folder, name);
  };
  const heads = JSON.stringify({ ...SMALL_SIZE, encoder: { ...SMALL_SIZE.encoder, depth: 4 } });
  const cases: [string, RegExp][] = [
    [join(folder, 'missing.safetensors'), /does not exist/],
    [folder, /there is no checkpoint in the folder/],
    [join(FIXTURES, 'README.md'), /not a safetensors file/],
    [await write('none.safetensors', undefined), /no sizes of a model/],
    [await write('shallow.safetensors', heads), /no place for the tensor target_encoder\.blocks\.4/],
    [await write('wide.safetensors', metadata.model?.replaceAll(':16', ':32')), /instead of/],
    [await write('context.safetensors', metadata.model, 'target_encoder'), /no target encoder/],
  ];
  for (const [file, message] of cases) {
    await t.throwsAsync(loadNetwork(file, 'target'), { instanceOf: UserError, message }, file);
  }
});

const broken = { name: 'broken.jpg', source: async () => Buffer.from('no image') };

async function small(t: ExecutionContext) {
  const { startEngine } = await import('../core/engine/start.js');
  const engine = await startEngine('wasm');
  return { engine, network: await loadNetwork(await smallCheckpoint(t), 'target') };
}

function row(table: { data: Float32Array; layers: number; width: number }, index: number): Float32Array {
  const columns = table.layers * table.width;
  return table.data.subarray(index * columns, (index + 1) * columns);
}

function randomPixels(count: number): Float32Array {
  const stream = new RandomStream(0, 'pixels');
  return Float32Array.from({ length: count * SMALL_SIZE.imageSize ** 2 * 3 }, () => stream.normal());
}

/** A case's context encoder, read as from a checkpoint, its images, and the means of the features they must give. */
async function referenceCase(
  t: ExecutionContext,
  name: string,
): Promise<{ network: FeatureNetwork; images: Float32Array; expected: number[][] }> {
  const config = JSON.parse(readFileSync(join(REFERENCE, name, 'config.json'), 'utf8'));
  const heads = config.num_heads;
  const model: ModelSize = {
    imageSize: config.image_size,
    patchSize: config.patch_size,
    encoder: { dim: config.embed_dim, depth: config.depth, heads, mlpRatio: 4 },
    predictor: { dim: config.predictor_embed_dim, depth: config.predictor_depth, heads, mlpRatio: 4 },
  };
  const { tensors } = await readSafetensors(join(REFERENCE, name, 'weights.safetensors'));
  const path = join(await temporaryFolder(t), 'weights.safetensors');
  await writeSafetensors(path, tensors, { model: JSON.stringify(model) });
  const values = await readSafetensors(join(REFERENCE, name, 'expected.safetensors'));
  const stored = values.tensors.get('images');
  const features = values.tensors.get('encoder.features');
  if (!stored || !features) throw new Error('the case has no images or features');
  const [count, tokens, dim] = features.shape as [number, number, number];
  const images = tf.tidy(() => tf.tensor(stored.data as Float32Array, [...stored.shape]).transpose([0, 2, 3, 1]));
  const expected = Array.from({ length: count }, (_, image) =>
    Array.from({ length: dim }, (_, column) => {
      let sum = 0;
      for (let token = 0; token < tokens; token++)
        sum += Number(features.data[(image * tokens + token) * dim + column]);
      return sum / tokens;
    }),
  );
  return { network: await loadNetwork(path, 'context'), images: (await images.data()) as Float32Array, expected };
}
