import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import test from 'ava';
import { UserError } from '../../core/base/errors.js';
import { ByteGate } from '../../core/base/pool.js';
import { type LoaderSettings, loadBatches, stepsPerEpoch } from '../../core/data/loader.js';
import { SkippedImages } from '../../core/data/skipped.js';
import type { ImageCollection } from '../../core/plugin.js';
import shapes from '../../plugins/shapes/index.js';
import { temporaryFolder } from '../helpers/command.js';
import { softJpeg, softPicture } from '../helpers/pictures.js';

const SETTINGS: LoaderSettings = {
  seed: 1,
  batchSize: 4,
  shuffleBuffer: null,
  imageSize: 8,
  cropScale: [0.3, 1],
  cropAspect: [3 / 4, 4 / 3],
  flip: 0.5,
  jitter: 0,
  blur: 0,
  pixelLimit: 1e8,
  aheadBytes: 1e6,
};

async function generated(count: number): Promise<ImageCollection> {
  const dataSet = shapes.dataSets[0];
  if (!dataSet) throw new Error('the shapes plugin brings no data set');
  return dataSet.open(String(count));
}

/** The same images, some of which cannot be read. */
function withUnreadable(images: ImageCollection, isBad: (index: number) => boolean): ImageCollection {
  return {
    ...images,
    item: (index) => {
      const item = images.item(index);
      const source = async () => {
        throw new Error('the disk has a hole\nand a crack');
      };
      return isBad(index) ? { ...item, source } : item;
    },
  };
}

const base64Of = ({ buffer, byteOffset, byteLength }: Float32Array) =>
  Buffer.from(buffer, byteOffset, byteLength).toString('base64');

async function read(images: ImageCollection, skipped: SkippedImages, from: number, to: number, settings = SETTINGS) {
  const batches: string[] = [];
  for await (const batch of loadBatches(images, settings, skipped, from, to)) {
    batches.push(Object.values(batch).map(base64Of).join());
  }
  return batches;
}

test('a run that starts in the middle gets the batches of the run that did not stop', async (t) => {
  const images = await generated(13);
  const skipped = new SkippedImages(join(await temporaryFolder(t), 'skipped.txt'), 13, 0.5);
  t.is(stepsPerEpoch(13, 4), 3);
  const whole = await read(images, skipped, 0, 8);
  t.is(new Set(whole).size, 8, 'all batches differ');
  t.deepEqual(await read(images, skipped, 4, 8), whole.slice(4));
  t.deepEqual(
    await read(images, skipped, 2, 4, { ...SETTINGS, aheadBytes: 0 }),
    whole.slice(2, 4),
    'whatever is read ahead',
  );
});

test('the next batch is read while the caller computes, and no more than the memory allows', async (t) => {
  const images = await generated(40);
  let asked = 0;
  const counted: ImageCollection = {
    ...images,
    item: (index) => {
      asked++;
      return images.item(index);
    },
  };
  const skipped = new SkippedImages(join(await temporaryFolder(t), 'skipped.txt'), 40, 0.5);
  const batchBytes = SETTINGS.batchSize * SETTINGS.imageSize ** 2 * 3;
  for (const [aheadBytes, batches] of [
    [0, 2],
    [3 * batchBytes, 4],
    [1e9, 5],
  ] as const) {
    asked = 0;
    const loading = loadBatches(counted, { ...SETTINGS, aheadBytes }, skipped, 0, 10);
    await loading.next();
    t.is(asked, batches * SETTINGS.batchSize, `${aheadBytes} bytes`);
    await loading.return(undefined);
  }
});

test('batches do not depend on who decodes them: this thread, one, or several', async (t) => {
  const folder = await temporaryFolder(t);
  for (let seed = 0; seed < 12; seed++) {
    const bytes = seed % 4 === 3 ? softPicture(30, 20, seed).png().toBuffer() : softJpeg(40, 30, seed);
    await writeFile(join(folder, `${seed}.image.jpg`), await bytes);
  }
  const { openFolders } = await import('../../core/data/folder.js');
  const images = await openFolders([folder]);
  const skipped = new SkippedImages(join(folder, 'skipped.txt'), 12, 0.5);
  const settings = { ...SETTINGS, imageSize: 12 };
  const here: string[] = [];
  for (const from of [0, 15]) here.push(...(await read(images, skipped, from, from + 15, settings)));
  for (const decodeThreads of [1, 3]) {
    t.deepEqual(await read(images, skipped, 0, 30, { ...settings, decodeThreads }), here, `${decodeThreads} threads`);
  }
  const bytesOf = (path: string) => ({ name: path, source: () => readFile(path) });
  const fromMemory = { ...images, item: (index: number) => bytesOf(images.item(index).name) };
  t.deepEqual(await read(fromMemory, skipped, 0, 30, { ...settings, decodeThreads: 2 }), here, 'from functions');
});

const VIEWS = [
  { name: 'global', count: 2 },
  { name: 'local', count: 3, crop: { imageSize: 6, cropScale: [0.05, 0.3], solarize: 0.5 } },
] as const;

/** The batches of views, each a copy. */
async function viewBatches(images: ImageCollection, settings: LoaderSettings, from: number, to: number) {
  const batches: Record<string, Float32Array>[] = [];
  for await (const batch of loadBatches(images, settings, { add() {} }, from, to)) {
    batches.push(Object.fromEntries(Object.entries(batch).map(([name, pixels]) => [name, pixels.slice()])));
  }
  return batches;
}

test('the crops of a run with one view are those that they always were, and the first of any views', async (t) => {
  const images = await generated(40);
  const settings = { ...SETTINGS, jitter: 0.5, blur: 0.5 };
  const hash = createHash('sha256');
  const single = await viewBatches(images, settings, 0, 15);
  for (const { image } of single) hash.update(new Uint8Array((image as Float32Array).buffer));
  t.is(hash.digest('hex'), 'cb0e8babf69b963d63da4ffeb125ee9102ceba18f18d3ce0148ad8ccb8e93f4f');
  const several = await viewBatches(images, { ...settings, views: VIEWS }, 0, 15);
  const values = 8 * 8 * 3;
  for (const [step, { global, local }] of several.entries()) {
    t.is(global?.length, 2 * 4 * values);
    t.is(local?.length, 3 * 4 * 6 * 6 * 3);
    for (let at = 0; at < 4; at++) {
      const [first, second] = [0, 1].map((number) => global?.slice((2 * at + number) * values).slice(0, values));
      t.deepEqual(first, single[step]?.image?.slice(at * values, (at + 1) * values));
      t.notDeepEqual(second, first, 'two crops of an image differ');
    }
  }
});

test('views are the same after an interruption and in any thread, and an image is read once for all of them', async (t) => {
  const images = await generated(40);
  let reads = 0;
  const counted: ImageCollection = {
    ...images,
    item(index) {
      const { source, ...item } = images.item(index);
      const read = async () => {
        reads++;
        return typeof source === 'string' ? readFile(source) : source();
      };
      return { ...item, source: read };
    },
  };
  const settings = { ...SETTINGS, views: VIEWS };
  const whole = await viewBatches(counted, settings, 0, 30);
  t.is(reads, 30 * SETTINGS.batchSize);
  t.deepEqual(await viewBatches(images, settings, 24, 30), whole.slice(24));
  t.deepEqual(await viewBatches(images, { ...settings, decodeThreads: 1 }, 0, 30), whole);
});

test('when the step is slower than the decoder, no more images are decoded than may wait', async (t) => {
  const images = await generated(40);
  const batchBytes = SETTINGS.batchSize * SETTINGS.imageSize ** 2 * 3;
  const skipped = new SkippedImages(join(await temporaryFolder(t), 'skipped.txt'), 40, 0.5);
  for (const ahead of [1, 2]) {
    let asked = 0;
    const counted: ImageCollection = {
      ...images,
      item: (index) => {
        asked++;
        return images.item(index);
      },
    };
    let taken = 0;
    const settings = { ...SETTINGS, aheadBytes: ahead * batchBytes, decodeThreads: 2 };
    for await (const _ of loadBatches(counted, settings, skipped, 0, 70)) {
      taken++;
      t.true(asked <= (taken + ahead) * SETTINGS.batchSize, `${asked} images asked for at batch ${taken}`);
      if (taken % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 50)); // the step
    }
    t.is(taken, 70);
    t.is(asked, 70 * SETTINGS.batchSize);
  }
});

test('of images that are no files, no more is read than may wait for a thread', async (t) => {
  const gate = new ByteGate(100, 3);
  let [reading, mostReading, held, mostHeld] = [0, 0, 0, 0];
  const pause = (at: number) => new Promise((resolve) => setTimeout(resolve, at % 4));
  const results = await Promise.all(
    Array.from({ length: 60 }, (_, at) =>
      gate
        .hold(
          async () => {
            mostReading = Math.max(mostReading, ++reading);
            await pause(at);
            reading--;
            if (at % 10 === 9) throw new Error('unreadable');
            held += 40;
            return new Uint8Array(40);
          },
          async ({ length }) => {
            mostHeld = Math.max(mostHeld, held);
            await pause(at + 1);
            held -= length;
            return at;
          },
        )
        .catch(() => null),
    ),
  );
  t.deepEqual(
    results,
    Array.from({ length: 60 }, (_, at) => (at % 10 === 9 ? null : at)),
    'everyone has its turn, after failures too',
  );
  t.is(mostReading, 3);
  t.true(mostHeld <= 80 + 3 * 40, `${mostHeld} bytes`);
});

test('a loader that is left in the middle ends its threads', async (t) => {
  const images = await generated(40);
  const skipped = new SkippedImages(join(await temporaryFolder(t), 'skipped.txt'), 40, 0.5);
  const loading = loadBatches(images, { ...SETTINGS, decodeThreads: 3 }, skipped, 0, 1000);
  await loading.next();
  await loading.return(undefined);
  t.is(skipped.count, 0, 'images that were not read any more do not count as unreadable');
  t.is((await loading.next()).done, true);
});

test('an unreadable image is replaced by the same one every time, counted and listed once', async (t) => {
  const file = join(await temporaryFolder(t), 'skipped.txt');
  const images = withUnreadable(await generated(20), (index) => index === 3);
  const skipped = new SkippedImages(file, 20, 0.1);
  const first = await read(images, skipped, 0, 15); // three epochs
  t.is(skipped.count, 1);
  t.is(await readFile(file, 'utf8'), 'shapes/3\tthe disk has a hole and a crack\n');
  const again = new SkippedImages(file, 20, 0.1);
  t.is(again.count, 1, 'the list is known after an interruption');
  t.deepEqual(await read(images, again, 0, 15), first);
  t.is((await readFile(file, 'utf8')).split('\n').length, 2);
});

test('unreadable images are listed in the order of their batches, however long each takes to fail', async (t) => {
  const images = await generated(24);
  const folder = await temporaryFolder(t);
  const lists = [];
  for (const waits of [(index: number) => index % 5, (index: number) => (7 * index) % 4]) {
    const item = (index: number) => {
      const source = async () => {
        await wait(5 * waits(index));
        throw new Error(`reason ${index}`);
      };
      return index % 3 === 0 ? { ...images.item(index), source } : images.item(index);
    };
    const file = join(folder, `skipped-${lists.length}.txt`);
    await read({ ...images, item }, new SkippedImages(file, 24, 0.5), 0, 6);
    lists.push(await readFile(file, 'utf8'));
  }
  t.is(lists[0]?.trimEnd().split('\n').length, 8);
  t.is(lists[0], lists[1]);
});

test('a name with a tab or a line break is one line of the list, and known after an interruption', async (t) => {
  const file = join(await temporaryFolder(t), 'skipped.txt');
  const add = (skipped: SkippedImages) => {
    for (const name of ['a\tb.jpg', 'a b.jpg', 'c\nd.jpg']) skipped.add(name, 'no\nreason');
  };
  add(new SkippedImages(file, 100, 0.5));
  const again = new SkippedImages(file, 100, 0.5);
  add(again);
  t.is(again.count, 3);
  t.is(await readFile(file, 'utf8'), 'a\\tb.jpg\tno reason\na b.jpg\tno reason\nc\\nd.jpg\tno reason\n');
});

test('where no image can be read, the message names some, with their reasons', async (t) => {
  const images = withUnreadable(await generated(12), () => true);
  const skipped = new SkippedImages(join(await temporaryFolder(t), 'skipped.txt'), 12, 1);
  const error = await t.throwsAsync(read(images, skipped, 0, 2), { instanceOf: UserError });
  t.regex(error?.message ?? '', /100 images in a row.*\n {4}shapes\/\d+: the disk has a hole and a crack\n {4}shapes/);
  t.false(error?.report.includes('skipped.txt'));
});

test('too many unreadable images stop the run with examples and the list', async (t) => {
  const file = join(await temporaryFolder(t), 'skipped.txt');
  const images = withUnreadable(await generated(20), (index) => index % 4 === 0);
  const error = await t.throwsAsync(() => read(images, new SkippedImages(file, 20, 0.1), 0, 5), {
    instanceOf: UserError,
  });
  t.regex(error?.message ?? '', /3 of 20 images cannot be read, more than 10%/);
  t.regex(error?.report ?? '', /skipped\.txt[\s\S]*--max-unreadable/);
});

test('an image file that vanishes after listing is skipped', async (t) => {
  const folder = await temporaryFolder(t);
  const { openFolders } = await import('../../core/data/folder.js');
  const images = await generated(1);
  const { source } = images.item(0);
  const sharp = (await import('sharp')).default;
  for (let i = 0; i < 8; i++)
    await writeFile(
      join(folder, `${i}.png`),
      await sharp(await (source as () => Promise<Uint8Array>)())
        .png()
        .toBuffer(),
    );
  const listed = await openFolders([folder]);
  await (await import('node:fs/promises')).rm(join(folder, '5.png'));
  const skipped = new SkippedImages(join(folder, 'skipped.txt'), 8, 0.5);
  await read(listed, skipped, 0, 2);
  t.is(skipped.count, 1);
});
