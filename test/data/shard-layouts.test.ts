import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import { UserError } from '../../core/base/errors.js';
import { openFolders } from '../../core/data/folder.js';
import { describeDataSet } from '../../core/data/info.js';
import { openData, openDataSet } from '../../core/data/open.js';
import { findShards } from '../../core/data/shards/find.js';
import { openTrainingShards } from '../../core/data/shards/open.js';
import { openLabelled } from '../../core/eval/labelled-data.js';
import { bytesOfName, PluginError } from '../../core/plugin.js';
import webdataset from '../../plugins/webdataset/index.js';
import { makeTar } from '../helpers/archives.js';
import { temporaryFolder } from '../helpers/command.js';
import { contentOf, pack, packData, pictureOf, writeFiles, writePictures } from '../helpers/shards.js';

const [SHARDS] = webdataset.dataSets;

/** A shard of pictures with these classes; null for none. */
async function shardOf(...classes: (string | null)[]): Promise<Buffer> {
  const picture = await pictureOf('x.jpg', 1);
  return makeTar(
    classes.flatMap((label, at) => [
      { name: `${at}.jpg`, content: picture },
      { name: `${at}.json`, content: '{"width": 30}' },
      ...(label === null ? [] : [{ name: `${at}.cls`, content: label }]),
    ]),
  );
}

/** The shards of each part, by their paths from the folder. */
async function partsOf(folder: string, word = folder) {
  const { train, test: tests, notes } = await findShards(word);
  const short = (places: readonly string[]) => places.map((place) => place.slice(folder.length + 1));
  return { train: short(train), test: short(tests), notes };
}

async function openClasses(word: string) {
  const labelled = await SHARDS.openLabelled?.(word);
  if (!labelled) throw new Error(`${word} has no classes`);
  return labelled;
}

const refusal = (t: ExecutionContext, work: Promise<unknown>, message: RegExp) =>
  t.throwsAsync(work, { message, any: true });

test('the folder of a shard tells its part before its name does; endings of any case are those of shards', async (t) => {
  const root = await temporaryFolder(t);
  const shard = await shardOf('0', '1');
  const folder = join(root, 'training', 'set'); // what lies above the folder tells nothing
  const layout = [
    'train/00000.tar',
    'train/deep/val-1.TAR',
    'validation/00000.tar',
    'val-7.Tar',
    'test/0.tar',
    'x.tar',
  ];
  await writeFiles(folder, Object.fromEntries(layout.map((name) => [name, shard])));
  await writeFiles(folder, { 'train/packed.tar.gz': 'x', 'train/._0.tar': 'x', 'train/deep/a/0.tar': 'x' });
  const { train, test: tests, notes } = await partsOf(folder);
  t.deepEqual(train, ['x.tar', 'train/00000.tar', 'train/deep/val-1.TAR']);
  t.deepEqual(tests, ['val-7.Tar', 'validation/00000.tar']);
  t.deepEqual(notes, [
    `1 file left out: a name that starts with a dot: ${folder}/train/._0.tar`,
    `1 packed shard left out: nothing can be read out of its middle (unpack it): ${folder}/train/packed.tar.gz`,
    `1 folder left out: shards are looked for 2 levels deep: ${folder}/train/deep/a`,
    '1 shard for testing left out: there are some for validation',
  ]);
  const named = join(folder, '{train,validation}', '00000.tar');
  t.deepEqual(await partsOf(folder, named), { train: ['train/00000.tar'], test: ['validation/00000.tar'], notes: [] });
  const trained = await openTrainingShards([named]);
  t.is(trained.length, 2);
  t.regex(trained.notes?.join() ?? '', /1 shard left out: .*validation\/00000\.tar/);
  t.is((await openTrainingShards([join(folder, 'validation', '00000.tar')])).length, 2, 'what is named alone is taken');
});

test('a folder of nothing but shards is one of shards, and so is one with a folder for each part', async (t) => {
  const folder = await temporaryFolder(t);
  const shard = await shardOf('0', '1');
  await writeFiles(folder, { 'a/train/0.tar': shard, 'a/val/0.tar': shard, 'b/train-0.TAR': shard });
  t.is((await openData([join(folder, 'a')], [])).length, 2);
  t.is((await openData([join(folder, 'b')], [])).length, 2);
  await writeFiles(folder, { 'b/picture.jpg': await pictureOf('x.jpg', 1) });
  const mixed = await openData([join(folder, 'b')], []);
  t.is(mixed.length, 1, 'of pictures and shards the pictures are taken');
  t.regex(mixed.notes?.join() ?? '', /1 shard left out: not taken together with other files .*train-0\.TAR/);
});

test('training shards alone are counted and checked; evaluation asks for others', async (t) => {
  const folder = await temporaryFolder(t);
  await writeFiles(folder, { 'train-0.tar': await shardOf('0', '1', '1') });
  const opened = await openDataSet(SHARDS, folder);
  const console = { line() {}, transfer: () => ({ update() {}, stop() {} }) };
  const signal = new AbortController().signal;
  const info = await describeDataSet(opened, { checkAll: true, pixelLimit: 1e6, console, signal });
  t.deepEqual(
    [info.classes, info.splits.map(({ split, images, read }) => [split, images, read])],
    [2, [['train', 3, 3]]],
  );
  t.deepEqual(info.notes, ['there are no shards for validation or testing']);
  await t.throwsAsync(openLabelled(folder, webdataset.dataSets), { instanceOf: UserError, message: /no test images/ });
});

test('classes that are texts are the classes, in their order; a mixture and a lacking one are refused by name', async (t) => {
  const root = await temporaryFolder(t);
  const folder = join(root, 'shards');
  const write = async (train: (string | null)[], val: (string | null)[]) =>
    writeFiles(folder, {
      'train-0.tar': await shardOf(...train.slice(0, 2)),
      'train-1.tar': await shardOf(...train.slice(2)),
      'val-0.tar': await shardOf(...val),
    });
  await write(['dog\n', 'cat', 'zebra', 'cat'], ['zebra', 'cat']);
  const { classes, train, test: tests, notes } = await openClasses(folder);
  t.deepEqual(classes, ['cat', 'dog', 'zebra']);
  t.deepEqual([0, 1, 2, 3].map(train.classOf), [1, 0, 2, 0]);
  t.deepEqual([tests.classOf(0), tests.item(0).labels], [2, { class: 2 }]);
  t.deepEqual(notes, []);
  t.is(await packData([folder], { out: join(root, 'packed') }, webdataset.dataSets), 0);
  const repacked = await openClasses(join(root, 'packed'));
  t.deepEqual([repacked.classes, [0, 1, 2, 3].map(repacked.train.classOf)], [classes, [1, 0, 2, 0]]);
  await write(['dog', 'cat', 'cat', 'dog'], ['cow', 'dog']);
  t.deepEqual((await openClasses(folder)).notes, [
    'no training image has a class of 1 that test images have, such as cow',
  ]);
  await write(['dog', '1', 'cat', 'cat'], ['dog']);
  await t.throwsAsync(openClasses(folder), {
    instanceOf: PluginError,
    message: /train-0\.tar\/1\.jpg has no class that is a text, as others have/,
  });
  await write(['1', '0', null, '1'], ['1']);
  await t.throwsAsync(openClasses(folder), { instanceOf: PluginError, message: /train-1\.tar\/0\.jpg has no class/ });
});

test('a shard that is none, whole, or of odd names gives one message, or its pictures', async (t) => {
  const folder = await temporaryFolder(t);
  const shard = await shardOf(null);
  const picture = await pictureOf('x.jpg', 1);
  const wrong: [Buffer, RegExp][] = [
    [gzipSync(shard), /is no tar archive: its content is packed with gzip/],
    [Buffer.alloc(0), /is damaged at byte 0: it is empty/],
    [shard.subarray(0, 1200), /0\.jpg has \d+ bytes, of which 688 are there: it was cut off/],
    [Buffer.from('<!DOCTYPE html><html>'), /its content is HTML/],
    [Buffer.alloc(1024), /no images in/],
  ];
  const path = join(folder, 'train-0.tar');
  for (const [content, message] of wrong) {
    await writeFile(path, content);
    await t.throwsAsync(openTrainingShards([path]), { instanceOf: UserError, message });
  }
  await writeFile(
    path,
    makeTar([
      { name: '/data/a.jpg', content: picture },
      { name: '../b.jpg', content: picture },
    ]),
  );
  t.is((await openTrainingShards([path])).length, 2, 'names that lead out of an archive are names');
});

test('of two that pack into one folder at once one does it, and the other is told; names are kept as bytes', async (t) => {
  const folder = await temporaryFolder(t);
  const pictures = join(folder, 'pictures');
  await writePictures(pictures, 15);
  const odd = Buffer.concat([Buffer.from(`${pictures}/`), Buffer.from('caf\xe9.jpg', 'latin1')]);
  await writeFile(odd, await pictureOf('x.jpg', 99));
  await writeFiles(pictures, { 'bad\tone\n.jpg': 'x' });
  const images = await openFolders([pictures]);
  const out = join(folder, 'out');
  const both = await Promise.allSettled([pack(images, out), pack(images, out)]);
  const told = both.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
  t.is(told.length, 1);
  t.regex(String(told[0]), /is in use: process \d+ has been packing into it/);
  t.false((await readdir(out)).some((name) => name.includes('lock') || name.includes('unfinished')));
  t.regex(await readFile(join(out, 'skipped.txt'), 'utf8'), /^bad\\tone\\n\.jpg\tits content is [^\n]*\n$/);
  await mkdir(join(folder, 'other'));
  await pack(images, join(folder, 'other'));
  t.deepEqual(await contentOf(out), await contentOf(join(folder, 'other')));
  const names = await openTrainingShards([out]);
  const places = Array.from({ length: names.length }, (_, at) => bytesOfName(names.item(at).place ?? ''));
  t.true(places.some((place) => place.equals(Buffer.from('caf\xe9.jpg', 'latin1'))));
  await refusal(
    t,
    pack(await openFolders([odd.toString('latin1').slice(0, pictures.length)]), out, { imagesPerShard: 3 }),
    /is not empty/,
  );
});
