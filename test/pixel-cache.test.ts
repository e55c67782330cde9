import { spawnSync } from 'node:child_process';
import { appendFile, mkdir, open, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { CacheSettings } from '../core/data/cache/pixel-cache.js';
import { openFolders } from '../core/data/folder.js';
import { type LoaderSettings, loadBatches } from '../core/data/loader.js';
import { ijepa, SMALLEST, temporaryFolder } from './helpers/command.js';
import { softJpeg, softPicture } from './helpers/pictures.js';

const SETTINGS: LoaderSettings = {
  seed: 3,
  batchSize: 8,
  shuffleBuffer: null,
  imageSize: 16,
  cropScale: [0.3, 1],
  cropAspect: [3 / 4, 4 / 3],
  flip: 0.5,
  jitter: 0,
  blur: 0,
  pixelLimit: 1e8,
  aheadBytes: 1e6,
};

/** Pictures of every kind: JPEGs decoded at their size and at parts of it, turned ones, ones that only sharp reads. */
async function pictures(t: ExecutionContext): Promise<string> {
  const folder = await temporaryFolder(t);
  const files: [string, Buffer][] = [
    ['1.jpg', await softJpeg(40, 30, 1)],
    ['2.jpg', await softJpeg(31, 45, 2, { colours: '4:4:4', orientation: 6 })],
    ['3.jpg', await softJpeg(120, 90, 3)],
    ['4.jpg', await softJpeg(400, 300, 4, { orientation: 3 })],
    ['5.png', await softPicture(50, 40, 5).png().toBuffer()],
    ['6.jpg', await softPicture(44, 33, 6).jpeg({ progressive: true }).toBuffer()],
    ['7.jpg', (await softJpeg(200, 150, 7)).subarray(0, 4000)],
    ['8.webp', await softPicture(38, 38, 8).webp().toBuffer()],
  ];
  for (const [name, bytes] of files) await writeFile(join(folder, name), bytes);
  return folder;
}

interface Read {
  batches: string[];
  warnings: string[];
  unreadable: Set<string>;
}

async function read(folder: string, cache: CacheSettings | null, change: Partial<LoaderSettings> = {}): Promise<Read> {
  const found: Read = { batches: [], warnings: [], unreadable: new Set() };
  const settings = { ...SETTINGS, ...change, cache, warn: (text: string) => found.warnings.push(text) };
  const unreadable = { add: (name: string) => found.unreadable.add(name.slice(folder.length + 1)) };
  for await (const batch of loadBatches(await openFolders([folder]), settings, unreadable, 0, 6)) {
    found.batches.push(Buffer.from(batch.buffer).toString('base64'));
  }
  return found;
}

async function filesIn(folder: string, end: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => name.endsWith(end)).map((name) => join(folder, name));
}

test('batches are bit for bit the same without a cache, while it fills, and from it', async (t) => {
  const [folder, place] = [await pictures(t), await temporaryFolder(t)];
  const cache = { folder: place, limitBytes: 1e9 };
  const plain = await read(folder, null);
  t.deepEqual([...plain.unreadable], ['7.jpg']);
  t.deepEqual(await read(folder, cache), plain, 'while it fills');
  t.is((await filesIn(place, '.index')).length, 1);
  t.deepEqual(await read(folder, cache), plain, 'from it');
  t.is((await filesIn(place, '.index')).length, 1, 'nothing was decoded anew');
  const other = { imageSize: 40, cropScale: [0.8, 1] } as const;
  t.deepEqual(await read(folder, cache, other), await read(folder, null, other), 'with other settings');
});

test('what is kept is used in place of the file, until its time or size changes', async (t) => {
  const folder = await temporaryFolder(t);
  const cache = { folder: await temporaryFolder(t), limitBytes: 1e9 };
  const path = join(folder, 'a.jpg');
  const [first, second] = [await softJpeg(60, 60, 1), await softJpeg(60, 60, 2)];
  const size = Math.max(first.length, second.length) + 2;
  const write = async (bytes: Buffer, time: number) => {
    await writeFile(path, Buffer.concat([bytes, Buffer.alloc(size - bytes.length)]));
    await utimes(path, time, time);
  };
  const one = { batchSize: 1 };
  await write(first, 1000);
  const before = await read(folder, cache, one);
  await write(second, 1000);
  t.deepEqual(await read(folder, cache, one), before, 'the file was not read');
  await write(second, 2000);
  const after = await read(folder, cache, one);
  t.notDeepEqual(after, before);
  t.deepEqual(after, await read(folder, null, one));
});

test('damaged, half written and foreign files never change a batch, and are made up for', async (t) => {
  const [folder, place] = [await pictures(t), await temporaryFolder(t)];
  const cache = { folder: place, limitBytes: 1e9 };
  const plain = await read(folder, null);
  await read(folder, cache);
  const [pixels] = (await filesIn(place, '.pixels')) as [string];
  const [index] = (await filesIn(place, '.index')) as [string];
  const file = await open(pixels, 'r+');
  for (let at = 500; at < (await file.stat()).size; at += 2000) await file.write(Buffer.from([255]), 0, 1, at);
  await file.close();
  await appendFile(index, 'the beginning of an entry');
  await writeFile(join(place, 'foreign.index'), 'something else that is long enough to be looked at as an index');
  await writeFile(join(place, 'foreign.pixels'), '');
  await writeFile(join(place, 'alone.index'), '');
  t.deepEqual(await read(folder, cache), plain, 'damaged pixels');
  t.is((await filesIn(place, '.pixels')).length, 3, 'they were decoded anew into a new pack');
  t.deepEqual(await read(folder, cache), plain);
  t.is((await filesIn(place, '.pixels')).length, 3, 'and read from there');
  for (const path of await filesIn(place, '.pixels')) await truncate(path, 100);
  t.deepEqual(await read(folder, cache), plain, 'pixels that are missing');
  for (const path of await filesIn(place, '.index')) {
    const bytes = await readFile(path);
    for (let at = 20; at < bytes.length; at += 7) bytes[at] = 77;
    await writeFile(path, bytes);
  }
  t.deepEqual(await read(folder, cache), plain, 'damaged indices');
});

test('the folder never takes more than it may; what does not fit is decoded each time', async (t) => {
  const [folder, place] = [await pictures(t), await temporaryFolder(t)];
  const plain = await read(folder, null);
  const { warnings, ...found } = await read(folder, { folder: place, limitBytes: 30_000 });
  t.deepEqual({ ...found, warnings: [] }, plain);
  t.is(warnings.length, 1);
  t.regex(warnings[0] ?? '', /no more decoded pictures are kept in .*--cache-megabytes/);
  const sizes = await Promise.all((await readdir(place)).map(async (name) => (await stat(join(place, name))).size));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  t.true(total > 0 && total <= 30_000, `${total} bytes`);
});

test('where nothing can be kept any more, one warning says so and the batches go on', async (t) => {
  const [folder, place] = [await pictures(t), join(await temporaryFolder(t), 'gone')];
  const { warnings, ...found } = await read(folder, { folder: place, limitBytes: 1e9 });
  t.deepEqual({ ...found, warnings: [] }, await read(folder, null));
  t.is(warnings.length, 1);
  t.regex(warnings[0] ?? '', /no more decoded pictures are kept.*; training goes on/);
});

test('a loader that is left in the middle closes the cache, and nothing is written after that', async (t) => {
  const [folder, place] = [await pictures(t), await temporaryFolder(t)];
  const warnings: string[] = [];
  const cache = { folder: place, limitBytes: 1e9 };
  const settings = { ...SETTINGS, cache, warn: (text: string) => warnings.push(text) };
  const loading = loadBatches(await openFolders([folder]), settings, { add: () => {} }, 0, 6);
  await loading.next();
  await loading.return(undefined);
  const kept = await filesIn(place, '.pixels');
  const sizes = async () => Promise.all(kept.map(async (path) => (await stat(path)).size));
  const before = await sizes();
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.deepEqual(await sizes(), before);
  t.deepEqual(warnings, []);
});

test('a full disk ends the keeping and not the run', async (t) => {
  const [folder, place] = [await pictures(t), await temporaryFolder(t)];
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=48k', 'tmpfs', place]).status !== 0) {
    t.log('left out: a small file system cannot be mounted here');
    t.pass();
    return;
  }
  t.teardown(() => spawnSync('umount', ['-l', place]));
  const cache = { folder: place, limitBytes: 1e9 };
  const { batches } = await read(folder, null);
  const filling = await read(folder, cache);
  t.deepEqual(filling.batches, batches);
  t.regex(filling.warnings.join(), /no more decoded pictures are kept.*no space left/);
  t.deepEqual((await read(folder, cache)).batches, batches);
});

test('several that read and fill one folder at the same time get the same batches', async (t) => {
  const [folder, place] = [await pictures(t), await temporaryFolder(t)];
  const plain = await read(folder, null);
  const cache = { folder: place, limitBytes: 1e9 };
  for (const found of await Promise.all([1, 2, 3].map(() => read(folder, cache)))) t.deepEqual(found, plain);
});

test('--cache keeps pictures for the next run, which ends in the same weights', async (t) => {
  const folder = await temporaryFolder(t);
  const photos = join(folder, 'photos');
  await mkdir(photos);
  for (let seed = 0; seed < 16; seed++) await writeFile(join(photos, `${seed}.jpg`), await softJpeg(40, 30, seed));
  const train = async (out: string, ...flags: string[]) => {
    const args = ['pretrain', photos, ...SMALLEST.slice(1), '--epochs', '2', '--out', join(folder, out), ...flags];
    const { code, stderr } = await ijepa(args);
    t.is(code, 0, stderr);
    return readFile(join(folder, out, 'checkpoints', 'latest.safetensors'));
  };
  const cache = join(folder, 'cache');
  const first = await train('first', '--cache', cache);
  t.is((await filesIn(cache, '.pixels')).length, 1);
  t.deepEqual(await train('second', '--cache', cache), first);
  t.is((await filesIn(cache, '.pixels')).length, 1);
  await rm(cache, { recursive: true });
  await writeFile(cache, '');
  const { code, stderr } = await ijepa([
    'pretrain',
    photos,
    ...SMALLEST.slice(1),
    '--out',
    join(folder, 'x'),
    '--cache',
    cache,
  ]);
  t.is(code, 2);
  t.regex(stderr, /cache is not a folder/);
});
