import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import sharp from 'sharp';
import { UserError } from '../../core/base/errors.js';
import { openFolders } from '../../core/data/folder.js';
import { openData } from '../../core/data/open.js';
import { openTrainingShards } from '../../core/data/shards/open.js';
import { openLabelled } from '../../core/eval/labelled-data.js';
import type { LabelledImages } from '../../core/plugin.js';
import { DATA_SETS } from '../../plugins/index.js';
import { ijepa, ijepaHere, SMALLEST, temporaryFolder } from '../helpers/command.js';
import { stoppedHereWhen, whenever } from '../helpers/faults.js';
import { serveFolder } from '../helpers/faulty-server.js';
import { FIXTURES } from '../helpers/paths.js';
import { contentOf, pack, packData, writePictures } from '../helpers/shards.js';

const TINY = SMALLEST.slice(1);
const LABELLED = join(FIXTURES, 'data', 'folder');

/** All of a checkpoint but where its images lay. */
async function trainedIn(checkpoint: string) {
  const bytes = await readFile(checkpoint);
  const end = 8 + Number(bytes.readBigUInt64LE());
  const { __metadata__, ...tensors } = JSON.parse(bytes.toString('utf8', 8, end));
  const { data: _data, sha256_file: _hash, ...metadata } = __metadata__;
  return { metadata, tensors, values: bytes.subarray(end) };
}

async function packed(t: ExecutionContext, count = 25) {
  const folder = await temporaryFolder(t);
  const [pictures, out] = [join(folder, 'pictures'), join(folder, 'out')];
  await writePictures(pictures, count);
  const images = await openFolders([pictures]);
  const summary = await pack(images, out);
  return { folder, pictures, out, images, summary };
}

async function bytesOf(images: LabelledImages, index: number): Promise<Uint8Array> {
  const { source } = images.item(index);
  return typeof source === 'string' ? readFile(source) : source();
}

test('packed images have the names, bytes, order and fingerprint of their folder', async (t) => {
  const { pictures, out, images, summary } = await packed(t);
  t.deepEqual(summary.splits.train && [summary.splits.train.images, summary.splits.train.shards], [25, 3]);
  const shards = await openTrainingShards([out]);
  t.is(shards.fingerprint, images.fingerprint);
  for (let index = 0; index < images.length; index++) {
    const place = images.item(index).place as string;
    t.is(shards.item(index).place, place);
    t.deepEqual(Buffer.from(await bytesOf(shards, index)), await readFile(join(pictures, place)));
  }
  await rm(join(out, 'index.json'));
  t.is((await openTrainingShards([join(out, 'train-{000000..000002}.tar')])).fingerprint, images.fingerprint);
});

test('packing twice gives the same bytes, wherever the pictures lie and whatever was there before', async (t) => {
  const { folder, pictures, out, images } = await packed(t);
  const expected = await contentOf(out);
  t.deepEqual(Object.keys(expected), [
    'index.json',
    ...['000000', '000001', '000002'].flatMap((number) => [`train-${number}.json`, `train-${number}.tar`]),
  ]);
  await cp(pictures, join(folder, 'elsewhere'), { recursive: true });
  await pack(await openFolders([join(folder, 'elsewhere')]), join(folder, 'again'));
  t.deepEqual(await contentOf(join(folder, 'again')), expected);
  // What a stopped call left: a shard without its index, one that is cut, one that was being written.
  await rm(join(out, 'index.json'));
  await rm(join(out, 'train-000001.json'));
  await truncate(join(out, 'train-000002.tar'), 700);
  await writeFile(join(out, 'train-000003.tar.unfinished'), 'x');
  const recipe = JSON.parse(await readFile(join(folder, 'again', 'index.json'), 'utf8')).recipe;
  await writeFile(join(out, '.ijepa-pack.json'), JSON.stringify(recipe));
  t.is((await pack(images, out)).splits.train?.kept, 1);
  t.deepEqual(await contentOf(out), expected);
  t.is((await pack(images, out)).splits.train?.kept, 3);
});

test('shards that are packed again have the same bytes, with classes or without', async (t) => {
  const { folder, out } = await packed(t);
  const labelled = join(folder, 'labelled');
  t.is(await packData([`folder:${LABELLED}`], { out: labelled, imagesPerShard: 10 }, DATA_SETS), 0);
  for (const [at, source] of [out, labelled].entries()) {
    const again = join(folder, `again-${at}`);
    t.is(await packData([source], { out: again, imagesPerShard: 10 }, DATA_SETS), 0);
    const { 'index.json': index, ...expected } = await contentOf(source);
    const { 'index.json': other, ...found } = await contentOf(again);
    t.deepEqual(found, expected);
    const [before, after] = await Promise.all(
      [source, again].map((place) => readFile(join(place, 'index.json'), 'utf8')),
    );
    t.deepEqual(JSON.parse(after ?? '').classes, JSON.parse(before ?? '').classes);
    t.truthy(index && other);
  }
});

test('shards are as large as was asked for, and one image is never too large', async (t) => {
  const { folder, images } = await packed(t);
  await pack(images, join(folder, 'small'), { imagesPerShard: null, shardBytes: 8000 });
  const names = (await readdir(join(folder, 'small'))).filter((name) => name.endsWith('.tar'));
  t.true(names.length > 2);
  for (const name of names) t.true((await stat(join(folder, 'small', name))).size <= 8000, name);
  await pack(images, join(folder, 'single'), { imagesPerShard: null, shardBytes: 10 });
  const { length, fingerprint } = await openTrainingShards([join(folder, 'single')]);
  t.deepEqual([length, fingerprint], [25, images.fingerprint]);
});

test('large images are made smaller, upright and on white; others keep their bytes', async (t) => {
  const folder = await temporaryFolder(t);
  const from = join(folder, 'pictures');
  await mkdir(from);
  const plain = (width: number, height: number, background: object) =>
    sharp({ create: { width, height, channels: 4, background: { r: 0, g: 0, b: 255, ...background } } });
  await plain(400, 200, { alpha: 0 }).png().toFile(join(from, 'a.png'));
  await plain(300, 120, { alpha: 1 }).flatten().withMetadata({ orientation: 6 }).jpeg().toFile(join(from, 'b.jpg'));
  await plain(70, 64, { alpha: 1 }).png().toFile(join(from, 'c.png'));
  const out = join(folder, 'out');
  await pack(await openFolders([from]), out, { resize: 64, quality: 80 });
  const shards = await openTrainingShards([out]);
  const found = [];
  for (let index = 0; index < 3; index++) {
    const { width, height, format, orientation } = await sharp(await bytesOf(shards, index)).metadata();
    found.push([shards.item(index).place, format, width, height, orientation]);
  }
  t.deepEqual(found, [
    ['a.jpg', 'jpeg', 128, 64, undefined],
    ['b.jpg', 'jpeg', 64, 160, undefined],
    ['c.png', 'png', 70, 64, undefined],
  ]);
  const { dominant } = await sharp(await bytesOf(shards, 0)).stats();
  t.true(dominant.r > 240 && dominant.g > 240, 'transparent parts are white');
});

test.serial(
  'both parts of labelled data come back with their classes, from data sets that lie in no files too',
  async (t) => {
    const folder = await temporaryFolder(t);
    for (const [word, place] of [
      [`folder:${LABELLED}`, 'a'],
      ['shapes:20', 'b'],
      [`webdataset:${join(FIXTURES, 'data', 'webdataset-plain')}`, 'c'],
    ] as const) {
      const out = join(folder, place);
      const { code, stderr } = await ijepaHere(['data', 'pack', word, '--out', out, '--images-per-shard', '7']);
      t.is(code, 0, stderr);
      const [name = '', argument = ''] = word.split(':');
      const before = await DATA_SETS.find((set) => set.name === name)?.openLabelled?.(argument);
      const after = await DATA_SETS.find((set) => set.name === 'webdataset')?.openLabelled?.(out);
      t.deepEqual(after?.classes, before?.classes);
      for (const part of ['train', 'test'] as const) {
        const labels = (images?: LabelledImages) =>
          images && Array.from({ length: images.length }, (_, at) => images.classOf(at));
        t.deepEqual(labels(after?.[part]), labels(before?.[part]));
      }
    }
  },
);

test.serial(
  'images that cannot be read are left out, counted and listed; with none left there is a message',
  async (t) => {
    const folder = await temporaryFolder(t);
    const pictures = join(folder, 'pictures');
    await writePictures(pictures, 12);
    await writeFile(join(pictures, 'b', '0001.jpg'), 'no picture');
    await writeFile(join(pictures, 'c', 'last.png'), '');
    const pack = (...more: string[]) =>
      ijepaHere(['data', 'pack', pictures, '--out', join(folder, 'out'), '--json', ...more]);
    const { code, stdout, stderr } = await pack('--images-per-shard', '4');
    t.is(code, 0, stderr);
    const summary = JSON.parse(stdout);
    t.is(summary.splits.train.images, 11);
    const bad = ['b/0001.jpg', 'c/last.png'];
    t.deepEqual(
      summary.skipped.map(({ name }: { name: string }) => name),
      bad,
    );
    const list = await readFile(join(folder, 'out', 'skipped.txt'), 'utf8');
    t.deepEqual(
      list
        .trimEnd()
        .split('\n')
        .map((line) => line.split('\t')[0]),
      bad,
    );
    t.regex(stderr, /skipped +2 unreadable images/);
    const none = join(folder, 'none');
    await mkdir(none);
    await writeFile(join(none, 'x.png'), 'no picture');
    const refused = await ijepaHere(['data', 'pack', none, '--out', join(folder, 'out2')]);
    t.is(refused.code, 2);
    t.regex(refused.stderr, /none of the images of .* can be read, such as .*x\.png/);
  },
);

test.serial('what cannot be meant is refused before anything is written', async (t) => {
  const { folder, pictures, out } = await packed(t, 5);
  const other = join(folder, 'other');
  const refused = async (data: string[], flags: object, message: RegExp) => {
    await t.throwsAsync(packData(data, { out: other, ...flags }, DATA_SETS), { instanceOf: UserError, message });
  };
  await refused([pictures], { out: join(pictures, 'x') }, /lies inside the data/);
  await refused([`folder:${LABELLED}`], { out: join(LABELLED, 'x') }, /lies inside the data/);
  await refused([pictures], { out: folder }, /is not empty, and does not hold shards/);
  await refused([pictures], { out, imagesPerShard: 3 }, /is not empty, and does not hold shards/);
  await refused([join(folder, 'none')], {}, /none does not exist/);
  await refused([pictures, 'shapes:5'], {}, /cannot be mixed/);
  await refused([pictures, join(out, 'train-000000.tar')], {}, /cannot be mixed/);
  await refused([pictures], { quality: 80 }, /--quality says nothing without --resize/);
  await refused([pictures], { quality: 101, resize: 64 }, /--quality cannot be 101/);
  await refused([pictures], { resize: 'big' }, /--resize cannot be "big"/);
  await refused([pictures], { imagesPerShard: 0 }, /--images-per-shard cannot be 0/);
  await refused([pictures], { imagesPerShard: 5, shardMegabytes: 5 }, /contradict one another/);
  t.deepEqual((await readdir(folder)).sort(), ['out', 'pictures']);
  const { code, stderr } = await ijepaHere(['data', 'pack', pictures]);
  t.is(code, 2);
  t.regex(stderr, /--out/);
});

test.serial('the checksums find a single changed byte', async (t) => {
  const { out } = await packed(t);
  const info = () => ijepaHere(['data', 'info', 'webdataset', out, '--check-all']);
  const good = await info();
  t.is(good.code, 0, good.stderr);
  t.regex(good.stdout, /25 images[\s\S]*all images can be read[\s\S]*all files are as they were written/);
  const shard = join(out, 'train-000001.tar');
  const bytes = await readFile(shard);
  bytes[100] = 1; // in the header of the first image
  await writeFile(shard, bytes);
  const bad = await info();
  t.is(bad.code, 2);
  t.regex(bad.stdout, /damaged +train-000001\.tar: its SHA-256 is/);
  await truncate(shard, 1000);
  const cut = await info();
  t.is(cut.code, 2);
  t.regex(cut.stderr, /train-000001\.tar is not the shard that its index describes/);
});

test.serial('a pack that is killed or stopped goes on, and ends in the same bytes', async (t) => {
  const folder = await temporaryFolder(t);
  const source = join(folder, 'shapes');
  const args = ['data', 'pack', 'shapes:160', '--images-per-shard', '20', '--out'];
  t.is((await ijepaHere([...args, source])).code, 0);
  const expected = await contentOf(source);
  const out = join(folder, 'stopped');
  const hasShards = (count: number) => () =>
    existsSync(out) && readdirSync(out).filter((name) => name.endsWith('.json')).length >= count;
  const killed = await ijepa([...args, out], undefined, (child) => {
    child.on(
      'close',
      whenever(hasShards(2), () => child.kill('SIGKILL')),
    );
  });
  t.is(killed.signal, 'SIGKILL');
  const stopped = await stoppedHereWhen(hasShards(4), [...args, out], 'SIGINT');
  t.is(stopped.code, 130, stopped.stderr);
  t.regex(stopped.stdout, /stopped; whole shards are kept, go on with the same command/);
  t.false((await readdir(out)).some((name) => name === 'index.json' || name.endsWith('.unfinished')));
  const { code, stdout } = await ijepaHere([...args, out]);
  t.is(code, 0);
  t.regex(stdout, /of them from before/);
  t.deepEqual(await contentOf(out), expected);
});

test.serial('a full disk ends packing with one message, and it goes on when there is room', async (t) => {
  const { folder, pictures, images } = await packed(t, 60);
  const disk = join(folder, 'disk');
  await mkdir(disk);
  const mount = (options: string) => spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', disk]).status === 0;
  if (!mount('size=64k')) {
    t.log('left out: a small file system cannot be mounted here');
    t.pass();
    return;
  }
  t.teardown(() => spawnSync('umount', ['-l', disk]));
  const args = ['data', 'pack', pictures, '--images-per-shard', '10', '--out', join(disk, 'out')];
  const full = await ijepaHere(args);
  t.is(full.code, 2);
  t.regex(full.stderr, /train-00000\d\.tar cannot be written: the disk is full[\s\S]*free some space/);
  t.false((await readdir(join(disk, 'out'))).some((name) => name.endsWith('.unfinished')));
  t.true(mount('remount,size=4m'));
  const { code, stdout } = await ijepaHere(args);
  t.is(code, 0);
  t.regex(stdout, /of them from before/);
  t.is((await openData([join(disk, 'out')], DATA_SETS)).fingerprint, images.fingerprint);
});

test.serial(
  'runs from a folder, from its shards, from one and then the other, and from a server that fails and goes away end alike',
  async (t) => {
    const { folder, pictures, out } = await packed(t, 40);
    const server = await serveFolder(t, out);
    const unruly = (number: number) => (number % 3 === 1 ? 'cut' : number % 7 === 5 ? 'drop' : null);
    const place = (run: string) => join(folder, run);
    const train = (data: string, run: string) => {
      return ['pretrain', data, '--out', place(run), ...TINY, '--epochs', '2', '--flip', '0.5'];
    };
    const result = (run: string) => trainedIn(join(place(run), 'checkpoints', 'latest.safetensors'));
    for (const [data, run] of [
      [pictures, 'a'],
      [join(out, 'train-{000000..000003}.tar'), 'b'],
    ] as const) {
      const { code, stderr } = await ijepaHere(train(data, run));
      t.is(code, 0, stderr);
    }
    t.deepEqual(await result('b'), await result('a'));
    // The server goes away after the first step, and the run is stopped while it waits.
    const hasStep = () => (statSync(join(place('c'), 'log.jsonl'), { throwIfNoEntry: false })?.size ?? 0) > 0;
    let missed = 0;
    server.faultOf = (number) => {
      if (missed === 0 && !hasStep()) return unruly(number);
      missed++;
      return 'drop';
    };
    const remote = train(`${server.address}/train-{000000..000003}.tar`, 'c');
    const stopped = await stoppedHereWhen(() => missed >= 20, remote, 'SIGINT');
    t.is(stopped.code, 130, stopped.stderr);
    t.regex(stopped.stdout, /stopped after step \d+ of 10; everything up to there is saved/);
    server.faultOf = unruly;
    const resumed = await ijepaHere(['pretrain', '--out', place('c'), '--resume']);
    t.is(resumed.code, 0, resumed.stderr);
    t.deepEqual(await result('c'), await result('a'));
    t.false((await readdir(place('c'))).includes('skipped.txt'));
    // A run of the folder goes on with its shards.
    const checkpoint = join(place('d'), 'checkpoints', 'latest.safetensors');
    const often = [...train(pictures, 'd'), '--save-every-steps', '1'];
    const first = await stoppedHereWhen(() => existsSync(checkpoint), often, 'SIGINT');
    t.is(first.code, 130, first.stderr);
    const rest = await ijepaHere(['pretrain', out, '--out', place('d'), '--resume']);
    t.is(rest.code, 0, rest.stderr);
    t.deepEqual(await result('d'), await result('a'));
  },
);

test('shards are evaluated on by their folder where they have classes', async (t) => {
  const { out } = await packed(t, 5);
  const { dataSet, data } = await openLabelled(join(FIXTURES, 'data', 'webdataset-packed'), DATA_SETS);
  t.deepEqual([dataSet.name, data.classes, data.test.length], ['webdataset', ['cat', 'dog'], 2]);
  await t.throwsAsync(openLabelled(out, DATA_SETS), { instanceOf: UserError, message: /has no labels to evaluate/ });
});
