import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { UserError } from '../../core/base/errors.js';
import { RandomStream } from '../../core/base/random.js';
import { readSafetensors, writeSafetensors } from '../../core/checkpoint/safetensors.js';
import { tf } from '../../core/engine/tf.js';
import { extractFeatures } from '../../core/eval/features.js';
import { atImageSize, type FeatureNetwork, loadNetwork } from '../../core/eval/network.js';
import { prepareFeatures } from '../../core/eval/prepare-features.js';
import { featureColumns } from '../../core/eval/samples.js';
import { createVit } from '../../core/nn/backbone.js';
import type { VitSize } from '../../core/nn/sizes.js';
import { temporaryFolder } from '../helpers/command.js';
import { findEngines, relativeDifference, testOnEngines, withoutCpu } from '../helpers/engines.js';
import { EXTRACTION, SMALL_SIZE, smallCheckpoint, smallModel, someImages } from '../helpers/features.js';
import { FIXTURES } from '../helpers/paths.js';

const REFERENCE = process.env.IJEPA_REFERENCE ?? join(FIXTURES, 'reference');
/** Largest difference from the reference's features, relative to the largest of them. */
const TOLERANCE = 1e-4;

const engines = withoutCpu(await findEngines());

for (const name of readdirSync(REFERENCE).filter((found) => found.startsWith('case-'))) {
  testOnEngines(test, engines, `${name}: pooled features are the mean of the reference's`, async (t, engine) => {
    const { network, images, expected } = await referenceCase(t, name);
    const { compute, dispose } = prepareFeatures(engine, network);
    const features = await compute(images);
    const { dim, depth } = network.size as VitSize;
    const columns = features.length / expected.length;
    t.is(columns, Math.min(4, depth) * dim);
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
    const { dim, depth } = network.size as VitSize;
    const pixels = randomPixels(3);
    const { compute, dispose } = prepareFeatures(engine, network);
    const features = await compute(pixels);
    t.is(features.length, 3 * 4 * dim);
    for (let layer = 0; layer < 4; layer++) {
      const encoder = { ...SMALL_SIZE.encoder, depth: depth - 3 + layer };
      const model = createVit({ ...SMALL_SIZE, encoder });
      const input = tf.tensor4d(pixels, [3, SMALL_SIZE.imageSize, SMALL_SIZE.imageSize, 3]);
      const pooled = tf.tidy(() => model.forward(network.encoder, input).mean(1)); // [3, D]
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

const broken = { name: 'broken.jpg', source: async () => Buffer.from('no image') };

async function small(t: ExecutionContext) {
  const { startEngine } = await import('../../core/engine/start.js');
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
  const model = smallModel({
    imageSize: config.image_size,
    patchSize: config.patch_size,
    encoder: { dim: config.embed_dim, depth: config.depth, heads: config.num_heads, mlpRatio: 4 },
  });
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
