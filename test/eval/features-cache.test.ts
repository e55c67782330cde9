import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { UserError } from '../../core/base/errors.js';
import { startEngine } from '../../core/engine/start.js';
import { type ExtractOptions, extractFeatures } from '../../core/eval/features.js';
import { atImageSize, loadNetwork } from '../../core/eval/network.js';
import { temporaryFolder } from '../helpers/command.js';
import { EXTRACTION, SMALL_SIZE, smallCheckpoint, someImages } from '../helpers/features.js';

test.serial('what is in the cache is neither read nor computed again, and has the same bits', async (t) => {
  const { extract, options } = await withCache(t);
  const images = someImages(10);
  const computed = await extract(images, { ...EXTRACTION, cache: null });
  const first = await extract(images, options);
  const reads = images.reads;
  const progress: number[] = [];
  const second = await extract(images, { ...options, onProgress: (done) => progress.push(done) });
  t.is(images.reads, reads);
  t.deepEqual(progress, [10]);
  t.deepEqual(first, computed);
  t.deepEqual(second, first);
});

test.serial('another batch size finds the features of the one before', async (t) => {
  const { extract, options } = await withCache(t);
  const images = someImages(10);
  const first = await extract(images, { ...options, batchSize: 3 });
  t.is(images.reads, 10);
  t.deepEqual(await extract(images, { ...options, batchSize: 7 }), first);
  t.is(images.reads, 10);
});

test.serial('an interrupted extraction goes on with the batch in which it was interrupted', async (t) => {
  const { extract, options, pieces } = await withCache(t);
  const stop = new AbortController();
  const images = someImages(20);
  const onProgress = (done: number) => done === 8 && stop.abort(new Error('stopped here'));
  await t.throwsAsync(extract(images, { ...options, onProgress, signal: stop.signal }), { message: 'stopped here' });
  t.is(pieces().length, 2);
  const fresh = someImages(20);
  const progress: number[] = [];
  const table = await extract(fresh, { ...options, onProgress: (done) => progress.push(done) });
  t.is(fresh.reads, 12);
  t.deepEqual(progress, [8, 12, 16, 20]);
  t.deepEqual(table, await extract(someImages(20), EXTRACTION));
});

test.serial('a damaged piece is computed anew, and only that one', async (t) => {
  const { extract, options, pieces } = await withCache(t);
  const before = await extract(someImages(12), options);
  const damages: ((path: string) => void)[] = [
    (path) => truncateSync(path, statSync(path).size - 5),
    (path) => writeFileSync(path, ''),
    (path) => {
      const bytes = readFileSync(path);
      bytes[bytes.length - 3] = (bytes[bytes.length - 3] as number) ^ 1;
      writeFileSync(path, bytes);
    },
  ];
  for (const damage of damages) {
    damage(pieces()[1] as string);
    const images = someImages(12);
    t.deepEqual(await extract(images, options), before);
    t.is(images.reads, 4);
    t.is(pieces().length, 3);
  }
});

test.serial('other weights, images, sizes, transforms, views and seeds have entries of their own', async (t) => {
  const { engine, extract, options, network, entries } = await withCache(t);
  const expectEntries = async (count: number, work: () => Promise<unknown>) => {
    await work();
    t.is(entries().length, count);
  };
  const images = someImages(3);
  await expectEntries(1, () => extract(images, options));
  await expectEntries(1, () => extract(images, { ...options, seed: 9 })); // test views are not random
  await expectEntries(2, () => extract(images, { ...options, transform: 'squash' }));
  await expectEntries(3, () => extract(images, { ...options, views: 1 }));
  await expectEntries(4, () => extract(images, { ...options, views: 1, seed: 9 }));
  await expectEntries(5, () => extract(images, { ...options, views: 2 }));
  await expectEntries(6, () => extract(someImages(4), options));
  await expectEntries(7, () => extractFeatures(engine, atImageSize(network, 24), images, options));
  const other = await loadNetwork(await smallCheckpoint(t, SMALL_SIZE, 1), 'target');
  await expectEntries(8, () => extractFeatures(engine, other, images, options));
  const heads = { ...SMALL_SIZE, encoder: { ...SMALL_SIZE.encoder, heads: 4 } }; // the same tensors
  const more = await loadNetwork(await smallCheckpoint(t, heads), 'target');
  t.is(more.facts.fingerprint, network.facts.fingerprint);
  await expectEntries(9, () => extractFeatures(engine, more, images, options));
});

test.serial('the cache stays below its limit, and what is beyond is computed', async (t) => {
  const { extract, options, pieces } = await withCache(t);
  const limited = { ...options, cacheBytes: 4500 };
  const images = someImages(20);
  const first = await extract(images, limited);
  const kept = pieces();
  t.true(kept.length > 0 && kept.length < 5, `${kept.length} pieces`);
  t.true(kept.reduce((sum, path) => sum + statSync(path).size, 0) <= limited.cacheBytes);
  const again = someImages(20);
  t.deepEqual(await extract(again, limited), first);
  t.is(again.reads, 20 - 4 * kept.length);
  t.is(pieces().length, kept.length);
});

test.serial('an unreadable image is tried again each time, the others of its batch are kept', async (t) => {
  const { extract, options } = await withCache(t);
  const good = someImages(8);
  const broken = { name: 'broken', source: async () => Buffer.from('no image') };
  const images = { ...someImages(8), item: (index: number) => (index === 5 ? broken : good.item(index)) };
  const table = await extract(images, { ...options, maxUnreadable: 0.5 });
  t.is(table.rows, 7);
  t.is(good.reads, 7);
  await t.throwsAsync(extract(images, options), { instanceOf: UserError, message: /broken/ });
  t.is(good.reads, 7);
});

test.serial('a cache in a place that cannot be written is refused', async (t) => {
  const { extract } = await withCache(t);
  const file = join(await temporaryFolder(t), 'file');
  writeFileSync(file, '');
  await t.throwsAsync(extract(someImages(2), { ...EXTRACTION, cache: file }), { instanceOf: UserError });
});

async function withCache(t: ExecutionContext) {
  const engine = await startEngine('wasm');
  const network = await loadNetwork(await smallCheckpoint(t), 'target');
  const folder = await temporaryFolder(t);
  const options: ExtractOptions = { ...EXTRACTION, cache: folder };
  const entries = () => readdirSync(folder).map((name) => join(folder, name));
  const pieces = () =>
    entries().flatMap((entry) =>
      readdirSync(entry)
        .filter((name) => name.endsWith('.safetensors'))
        .map((name) => join(entry, name))
        .sort(),
    );
  const extract = (images: ReturnType<typeof someImages>, asked: ExtractOptions) =>
    extractFeatures(engine, network, images, asked);
  return { engine, network, options, entries, pieces, extract };
}
