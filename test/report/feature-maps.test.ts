import test from 'ava';
import { startEngine } from '../../core/engine/start.js';
import { type FeatureNetwork, loadNetwork, randomNetwork } from '../../core/eval/network.js';
import { pictureFacts } from '../../core/report/feature-maps.js';
import { bytesOf, signedBytesOf, similarities } from '../../core/report/page/tokens.js';
import { reportPage } from '../../core/report/page.js';
import shapes from '../../plugins/shapes/index.js';
import { smallCheckpoint } from '../helpers/features.js';

const open = async (count: number) => {
  const images = await shapes.dataSets?.[0].open(String(count));
  if (!images) throw new Error('there is no data set of shapes');
  return images;
};

test.serial('a page with 64 pictures of usual size and long curves is smaller than 5 MB', async (t) => {
  const engine = await startEngine('wasm');
  const small = await loadNetwork(await smallCheckpoint(t));
  const size = { dim: 64, depth: 2, heads: 1, mlpRatio: 1, classToken: true };
  const usual: FeatureNetwork = {
    ...small,
    size,
    patchSize: 16,
    imageSize: 224,
    trainedImageSize: 224,
    positions: null,
  };
  const network = randomNetwork(usual, 0);
  const images = await open(64);
  const pictures = await pictureFacts(engine, network, images, { count: 64, pixelLimit: 1e8 });
  const { patches } = pictures;
  network.dispose();
  small.dispose();
  t.deepEqual([patches?.grid, pictures.pictures.length, patches?.dimensions], [14, 64, 64]);
  t.is(bytesOf(patches?.attention ?? '').length, 64 * 196);
  t.regex(patches?.attentionNote ?? '', /class token/);
  const steps = Array.from({ length: 2000 }, (_, at) => 100_000 + at);
  const curves = Array.from({ length: 20 }, (_, at) => {
    return { name: `method/${at}`, steps, values: steps.map((step) => Number(Math.sin(step).toPrecision(6))) };
  });
  const standing = {
    state: 'done',
    reason: null,
    step: 1,
    totalSteps: 1,
    epoch: 1,
    epochs: 1,
    imagesPerSecond: 1,
  } as const;
  const run = {
    ...{ name: 'run', about: [], options: [], masks: null, picturesNote: null, curves, pictures },
    standing: { ...standing, secondsLeft: 0, probe: null, verdicts: [] },
  };
  const about = { writtenBy: 'a test', writtenAt: new Date().toISOString(), refreshMs: null };
  const page = reportPage({ ...about, runs: [run], tables: [], evaluations: [] });
  t.true(Buffer.byteLength(page) < 5e6, `${Buffer.byteLength(page)} bytes`);
});

test.serial('pictures are the same for all runs on the same images, and alike ones are found', async (t) => {
  const engine = await startEngine('wasm');
  const [first, second] = [
    await loadNetwork(await smallCheckpoint(t)),
    await loadNetwork(await smallCheckpoint(t, undefined, 1)),
  ];
  const images = await open(9);
  const twice = { ...images, length: 18, item: (index: number) => images.item(index % 9) };
  const asked = { count: 18, pixelLimit: 1e8 };
  const facts = await pictureFacts(engine, first, twice, asked);
  const others = await pictureFacts(engine, second, twice, asked);
  t.deepEqual(
    others.pictures.map(({ name, image }) => [name, image]),
    facts.pictures.map(({ name, image }) => [name, image]),
  );
  t.not(others.patches?.tokens, facts.patches?.tokens);
  const tokens = signedBytesOf(facts.patches?.tokens ?? '');
  for (const [at, { name, nearest }] of facts.pictures.entries()) {
    const [{ picture, similarity }] = nearest;
    t.deepEqual([facts.pictures[picture].name, similarity], [name, 1], 'its double');
    const likeness = similarities(tokens, facts.patches?.dimensions ?? 0, at * 16 + 5);
    t.true(Math.abs(likeness[picture * 16 + 5] - 1) < 1e-6, 'and its patches');
  }
  const broken = { ...images, item: () => ({ name: 'x', source: async () => new Uint8Array([1]) }) };
  await t.throwsAsync(pictureFacts(engine, first, broken, asked), {
    message: /none of the images in .* can be read: x: /,
  });
  first.dispose();
  second.dispose();
});
