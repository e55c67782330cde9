import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import sharp from 'sharp';
import { describeAmount, formatBytes, type TransferConsole } from '../../core/base/console.js';
import { UserError } from '../../core/base/errors.js';
import { type DataDownload, downloadDataSet } from '../../core/data/download.js';
import { classExamples, classMembers, describeDataSet, spreadOf } from '../../core/data/info.js';
import { openDataSet } from '../../core/data/open.js';
import { dataInfoLines } from '../../core/report/data-info.js';
import { makeTarGz, makeZip } from '../helpers/archives.js';
import { type Ended, ijepaHere, temporaryFolder } from '../helpers/command.js';
import { serveFile, slow, status, whole } from '../helpers/faulty-server.js';
import { ROOT } from '../helpers/paths.js';
import { TOY, toyArchive, toyDataSet, toyEntries } from '../helpers/toy-data.js';

const md5 = (content: Buffer) => ({ algorithm: 'md5', hex: createHash('md5').update(content).digest('hex') }) as const;

/** Collects what is said. */
function listener(): TransferConsole & { lines: string[] } {
  const lines: string[] = [];
  return { lines, line: (text = '') => lines.push(text), transfer: () => ({ update() {}, stop() {} }) };
}

/** Nobody stops what has this signal. */
const noSignal = () => new AbortController().signal;
const CALM = { pixelLimit: 1e6, checkAll: false, signal: noSignal() };

/** The toy, served by a local server, and a folder for it. */
async function offerToy(t: ExecutionContext, content: Buffer, answers = [whole], name = 'toy.tar.gz') {
  const folder = await temporaryFolder(t);
  const { address, requests } = await serveFile(t, content, answers);
  const console = listener();
  const dataSet = toyDataSet([{ url: `${address}/files/${name}`, checksum: md5(content), bytes: content.length }]);
  const target = join(folder, 'data');
  const fetch = (more: Partial<DataDownload> = {}) =>
    downloadDataSet({ dataSet, folder: target, keepArchives: false, console, signal: noSignal(), ...more });
  return { folder, target, dataSet, requests, console, fetch, address };
}

async function unpackedToy(t: ExecutionContext) {
  const toy = await offerToy(t, await toyArchive());
  await toy.fetch();
  return toy;
}

test('a data set is fetched, checked, unpacked and found; nothing is written beside its folder', async (t) => {
  const { folder, target, fetch, requests, console } = await offerToy(t, await toyArchive());
  const summary = await fetch();
  t.is(summary.argument, join(target, 'toy'));
  t.deepEqual(
    summary.files.map(({ name, outcome, unpacked }) => ({ name, outcome, unpacked })),
    [{ name: 'toy.tar.gz', outcome: 'downloaded', unpacked: ['toy'] }],
  );
  t.deepEqual(await readdir(folder), ['data']);
  t.deepEqual((await readdir(target)).sort(), ['.ijepa-download.json', 'toy']);
  t.regex(console.lines.join('\n'), /for tests alone[\s\S]*fetching[\s\S]*MD5[\s\S]*unpacking/);
  t.is(requests.length, 1);
});

test('what is there is not fetched again; what was removed is', async (t) => {
  const { target, fetch, requests } = await unpackedToy(t);
  const again = await fetch();
  t.is(again.files[0]?.outcome, 'already there');
  t.is(again.argument, join(target, 'toy'));
  t.is(requests.length, 1);
  await rm(join(target, 'toy'), { recursive: true });
  t.is((await fetch()).files[0]?.outcome, 'downloaded');
  t.is(requests.length, 2);
  t.true(existsSync(join(target, 'toy/toy.marker')));
});

test('a data set that came another way is found, and nothing is fetched', async (t) => {
  const first = await unpackedToy(t);
  await rm(join(first.target, '.ijepa-download.json'));
  const summary = await first.fetch();
  t.is(summary.files[0]?.outcome, 'already there');
  t.is(first.requests.length, 1);
});

test('archives are kept where that is asked for, and an archive that is there is unpacked', async (t) => {
  const content = await toyArchive();
  const kept = await offerToy(t, content);
  await kept.fetch({ keepArchives: true });
  t.true(content.equals(await readFile(join(kept.target, 'toy.tar.gz'))));
  const brought = await offerToy(t, content);
  await mkdir(brought.target);
  await writeFile(join(brought.target, 'toy.tar.gz'), content);
  t.is((await brought.fetch()).argument, join(brought.target, 'toy'));
  t.is(brought.requests.length, 0);
  const damaged = await offerToy(t, content);
  await mkdir(damaged.target);
  await writeFile(join(damaged.target, 'toy.tar.gz'), content.subarray(0, 100));
  await t.throwsAsync(damaged.fetch(), { instanceOf: UserError, message: /is there, but damaged.*100 bytes/ });
});

test('zip archives and files that are no archives are fetched too', async (t) => {
  const zipped = await offerToy(t, makeZip(await toyEntries()), [whole], 'toy.zip');
  t.is((await zipped.fetch()).argument, join(zipped.target, 'toy'));
  const plain = await offerToy(t, Buffer.from('labels'), [whole], 'toy.txt');
  t.deepEqual((await plain.fetch()).files[0]?.unpacked, []);
  t.is(await readFile(join(plain.target, 'toy.txt'), 'utf8'), 'labels');
  await plain.fetch();
  t.is(plain.requests.length, 1);
});

test('an archive that is refused or damaged leaves nothing unpacked, nor does something in the way', async (t) => {
  const evil = await offerToy(t, makeTarGz([...(await toyEntries()), { name: '../evil', content: 'x' }]));
  await t.throwsAsync(evil.fetch(), { instanceOf: UserError, message: /holds \.\.\/evil/ });
  t.deepEqual(await readdir(evil.folder), ['data']);
  t.deepEqual(await readdir(evil.target), ['toy.tar.gz']);
  const archive = await toyArchive();
  const cut = await offerToy(t, archive.subarray(0, archive.length - 300));
  await t.throwsAsync(cut.fetch(), { instanceOf: UserError, message: /is not a whole tar archive/ });
  t.deepEqual(await readdir(cut.target), ['toy.tar.gz']);
  const blocked = await offerToy(t, archive);
  await mkdir(blocked.target);
  await writeFile(join(blocked.target, 'toy'), 'a file of somebody');
  await t.throwsAsync(blocked.fetch(), { instanceOf: UserError, message: /toy is in the way/ });
  t.is(await readFile(join(blocked.target, 'toy'), 'utf8'), 'a file of somebody');
  t.deepEqual((await readdir(blocked.target)).sort(), ['toy', 'toy.tar.gz']);
});

test('a signal while an archive is unpacked leaves the archive, and the next call unpacks it', async (t) => {
  const { target, fetch, requests, console } = await offerToy(t, await toyArchive());
  const aborter = new AbortController();
  const line = (text: string) => {
    if (text.startsWith('unpacking')) aborter.abort(new Error('stopped'));
  };
  await t.throwsAsync(fetch({ signal: aborter.signal, console: { ...console, line } }), { message: 'stopped' });
  t.deepEqual(await readdir(target), ['toy.tar.gz']);
  t.is((await fetch()).argument, join(target, 'toy'));
  t.is(requests.length, 1);
});

test('what is unpacked joins a folder of that name and changes no file there', async (t) => {
  const { target, fetch } = await offerToy(t, await toyArchive());
  await mkdir(join(target, 'toy/train'), { recursive: true });
  await writeFile(join(target, 'toy/own.txt'), 'own');
  await fetch();
  t.is(await readFile(join(target, 'toy/own.txt'), 'utf8'), 'own');
  t.true(existsSync(join(target, 'toy/train/0-0.png')));
  const other = await offerToy(t, await toyArchive());
  await mkdir(join(other.target, 'toy/train'), { recursive: true });
  await writeFile(join(other.target, 'toy/train/0-0.png'), 'my own picture');
  await t.throwsAsync(other.fetch(), { instanceOf: UserError, message: /0-0\.png is in the way/ });
  t.deepEqual(await readdir(join(other.target, 'toy')), ['train']);
});

test('a mirror is asked in place of the address; a wrong one is refused', async (t) => {
  const { fetch, requests, address } = await offerToy(t, await toyArchive());
  await fetch({ mirror: `${address}/mirror/of/it` });
  t.is(requests[0]?.path, '/mirror/of/it/toy.tar.gz');
  await t.throwsAsync(fetch({ mirror: 'file:///etc' }), { instanceOf: UserError, message: /--mirror cannot be/ });
});

test('a data set without a public address says where it is to be had', async (t) => {
  const console = listener();
  const task = { folder: 'x', keepArchives: false, console, signal: noSignal() };
  const error = await t.throwsAsync(downloadDataSet({ ...task, dataSet: toyDataSet([]) }), { instanceOf: UserError });
  t.regex(error instanceof UserError ? error.report : '', /cannot be fetched[\s\S]*example\.org\/toy; for tests alone/);
  t.false(existsSync('x'));
});

test('a download larger than the disk is refused before it begins', async (t) => {
  const { target, requests } = await offerToy(t, await toyArchive());
  const dataSet = toyDataSet([{ url: 'http://127.0.0.1:1/toy.tar.gz', bytes: 1e18 }]);
  const task = { dataSet, folder: target, keepArchives: false, console: listener(), signal: noSignal() };
  await t.throwsAsync(downloadDataSet(task), {
    instanceOf: UserError,
    message: /does not fit the disk.*1000000\.0 TB/,
  });
  t.is(requests.length, 0);
});

/** Runs the download command with the toy. */
function toyCommand(args: readonly string[], started?: (child: ReturnType<typeof spawn>) => void): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const script = join(ROOT, 'dist/test/helpers/toy-command.js');
    const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].on('data', (data) => {
        output[name] += data;
      });
    }
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, ...output }));
    started?.(child);
  });
}

test('Ctrl-C keeps what has arrived, a kill without warning too, and the same command goes on', async (t) => {
  const content = await toyArchive();
  const piece = Math.ceil(content.length / 60);
  const folder = join(await temporaryFolder(t), 'data');
  const { address, requests } = await serveFile(t, content, [slow(piece, 100), slow(piece, 100), whole]);
  const part = join(folder, 'toy.tar.gz.part');
  const size = () =>
    stat(part).then(
      (found) => found.size,
      () => 0,
    );
  const args = ['download', 'https://example.org/toy.tar.gz', folder, address];
  const stopAfter = (bytes: number, signal: NodeJS.Signals) => (child: ReturnType<typeof spawn>) => {
    let isSent = false; // a second signal would end it at once
    const timer = setInterval(async () => {
      if (isSent || (await size()) <= bytes || isSent) return;
      isSent = true;
      child.kill(signal);
    }, 20);
    child.on('close', () => clearInterval(timer));
  };
  const stopped = await toyCommand(args, stopAfter(2 * piece, 'SIGINT'));
  t.is(stopped.code, 130, stopped.stderr);
  t.regex(stopped.stderr, /stopped; what has arrived is kept, go on with: npx ijepa data download toy .*--mirror/);
  const first = await size();
  t.true(first > 0 && first < content.length);
  const killed = await toyCommand(args, stopAfter(first + 2 * piece, 'SIGKILL'));
  t.is(killed.signal, 'SIGKILL');
  const second = await size();
  t.true(second > first && second < content.length);
  const { code, stdout, stderr } = await toyCommand(args);
  t.is(code, 0, stderr);
  t.is(JSON.parse(stdout).argument, join(folder, 'toy'));
  t.deepEqual(
    requests.map(({ range }) => range),
    [undefined, `bytes=${first}-`, `bytes=${second}-`],
  );
  t.deepEqual((await readdir(folder)).sort(), ['.ijepa-download.json', 'toy']);
});

test('the command ends with exit code 2 and a message where the server does not have the file', async (t) => {
  const { address } = await serveFile(t, Buffer.alloc(0), [status(404)]);
  const folder = join(await temporaryFolder(t), 'data');
  const { code, stderr } = await toyCommand(['download', `${address}/toy.tar.gz`, folder]);
  t.is(code, 2);
  t.regex(stderr, /toy\.tar\.gz answers 404 Not Found[\s\S]*--mirror/);
  t.deepEqual(await readdir(folder), []);
});

test('info counts images by split and class, and reads the first and the last of each', async (t) => {
  const { target, dataSet } = await unpackedToy(t);
  const info = await describeDataSet(await openDataSet(dataSet, target), { ...CALM, console: listener() });
  const [train, test] = info.splits;
  t.is(info.classes, 4);
  t.deepEqual([train?.images, test?.images], [11, 3]);
  t.deepEqual(train?.perClass, {
    smallest: { name: 'a long name of a class, grey', images: 1 },
    median: { name: 'blue', images: 2 },
    largest: { name: 'red', images: 5 },
    empty: 0,
  });
  t.is(test?.perClass?.empty, 1);
  t.deepEqual([train?.read, test?.read], [7, 3]);
  t.deepEqual(train?.sizes, { width: [40, 43], height: [32, 32] });
  t.deepEqual(info.notes, ['there is no grey test image']);
  const text = dataInfoLines(info).join('\n');
  t.regex(text, /smallest 1 \(a long name of a class, grey\), median 2 \(blue\), largest 5 \(red\)/);
  t.regex(text, /1 of the classes has no image/);
  t.regex(text, /40 to 43 x 32 pixels/);
});

test('images that cannot be read to their end are named: the middle ones only where all are read', async (t) => {
  const { target, dataSet } = await unpackedToy(t);
  const opened = await openDataSet(dataSet, target);
  const picture = join(target, 'toy/train/0-2.png'); // neither the first nor the last one of its class
  await truncate(picture, Math.floor((await stat(picture)).size * 0.9));
  const some = await describeDataSet(opened, { ...CALM, console: listener() });
  t.deepEqual(some.splits[0]?.unreadable, []);
  const all = await describeDataSet(opened, { ...CALM, checkAll: true, console: listener() });
  t.deepEqual(
    all.splits.map(({ read }) => read),
    [11, 3],
  );
  t.deepEqual(
    all.splits[0]?.unreadable.map(({ name }) => name),
    ['train/0-2.png'],
  );
  t.regex(dataInfoLines(all).join('\n'), /unreadable 1 image of train\n\s+train\/0-2\.png: /);
  const jpeg = await sharp(await readFile(join(target, 'toy/train/0-0.png')))
    .resize(400, 900)
    .jpeg()
    .toBuffer();
  await writeFile(join(target, 'toy/train/0-0.png'), jpeg.subarray(0, Math.floor(jpeg.length * 0.97)));
  const cut = await describeDataSet(opened, { ...CALM, console: listener() });
  t.deepEqual(
    cut.splits[0]?.unreadable.map(({ name }) => name),
    ['train/0-0.png'],
  );
  const ended = await toyCommand(['info', 'https://example.org/toy.tar.gz', target]);
  t.is(ended.code, 2, 'something is wrong with the data');
  t.is(JSON.parse(ended.stdout).splits[0].unreadable.length, 1);
});

test('a data set that is missing says what was looked for, its page, its files and the command', async (t) => {
  const folder = await temporaryFolder(t);
  const dataSet = toyDataSet([{ url: 'https://example.org/files/toy.tar.gz' }]);
  for (const place of [folder, join(folder, 'nowhere')]) {
    const error = await t.throwsAsync(openDataSet(dataSet, place), { instanceOf: UserError });
    const report = error instanceof UserError ? error.report : '';
    t.regex(report, /the data set toy is not in [\s\S]*coloured squares/);
    t.true(report.includes(`npx ijepa data download toy ${place} (https://example.org/files/toy.tar.gz`), report);
    t.regex(report, /page: https:\/\/example\.org\/toy; for tests alone/);
  }
  const error = await t.throwsAsync(openDataSet(dataSet, null), { instanceOf: UserError });
  t.regex(
    error instanceof UserError ? error.report : '',
    /toy needs a folder[\s\S]*npx ijepa data download toy FOLDER/,
  );
});

test('the contact sheet shows the classes with pictures in their colours', async (t) => {
  const { folder, target, dataSet } = await unpackedToy(t);
  const opened = await openDataSet(dataSet, target);
  const rows = opened.labelled ? await classExamples(opened.labelled, 1e6) : [];
  t.deepEqual(
    rows.map(({ name, pictures }) => [name, pictures.length]),
    Object.entries(TOY),
  );
  const sheet = join(folder, 'sheet.png');
  const draw = (...args: string[]) => toyCommand(['info', 'https://example.org/toy.tar.gz', target, sheet, ...args]);
  t.is((await draw()).code, 0);
  const { width, height } = await sharp(sheet).metadata();
  t.true(width > 600 && height > 4 * 88, `${width} x ${height}`);
  await utimes(sheet, 0, 0);
  const again = await draw();
  t.is(again.code, 2);
  t.regex(again.stderr, /sheet\.png exists[\s\S]*--force to replace it, or another --sheet/);
  t.is((await stat(sheet)).mtimeMs, 0);
  t.is((await draw('force')).code, 0);
  t.true((await stat(sheet)).mtimeMs > 0);
});

test('the census finds every image once; ties and empty classes are told', (t) => {
  const labels = [2, 0, 2, 2, 0, 3];
  const images = { description: 'x', length: labels.length, fingerprint: '', item: () => ({ name: '', source: '' }) };
  const members = classMembers({ ...images, classOf: (index) => labels[index] as number }, 5);
  t.deepEqual(members, [[1, 4], [], [0, 2, 3], [5], []]);
  const spread = spreadOf(members, ['a', 'b', 'c', 'd', 'e']);
  t.deepEqual([spread.smallest.name, spread.median.name, spread.largest.name, spread.empty], ['b', 'd', 'c', 2]);
  t.throws(() => classMembers({ ...images, classOf: () => 5 }, 5), { message: /class 5 of 5/ });
});

test('console are said as people say them', (t) => {
  t.deepEqual([0, 999, 1000, 169_001_437, 2.5e12].map(formatBytes), ['0 B', '999 B', '1.0 kB', '169.0 MB', '2.5 TB']);
  t.is(describeAmount(40e6, 100e6, 'bytes', 2e6), '40.0 MB of 100.0 MB  2.0 MB/s  30s left');
  t.is(describeAmount(50, 100, 'images', 5), '50 of 100 images  5.0 images/s  10s left');
  t.is(describeAmount(5e6, null, 'bytes', 1e6), '5.0 MB  1.0 MB/s');
});

test.serial(
  'data lists the data sets, info opens one by name, and wrong names get the nearest right one',
  async (t) => {
    const list = await ijepaHere(['data', '--json']);
    t.is(list.code, 0, list.stderr);
    const rows: { name: string; page: string | null; files: string[] }[] = JSON.parse(list.stdout);
    t.true(rows.some(({ name }) => name === 'shapes'));
    const text = (await ijepaHere(['data'])).stdout;
    for (const { name, page } of rows) t.true(text.includes(name) && text.includes(page ?? ''), name);
    const folder = await temporaryFolder(t);
    const sheet = join(folder, 'sheet.png');
    const info = await ijepaHere(['data', 'info', 'shapes', '40', '--check-all', '--json', '--sheet', sheet]);
    t.is(info.code, 0, info.stderr);
    const { splits } = JSON.parse(info.stdout) as { splits: { images: number; read: number; unreadable: unknown[] }[] };
    t.deepEqual(
      splits.map(({ images }) => images),
      [40, 64],
    );
    t.true(splits.every(({ images, read, unreadable }) => images === read && unreadable.length === 0));
    t.true(existsSync(sheet));
    const colon = await ijepaHere(['data', 'info', 'shapes:40', '--json']);
    t.deepEqual(JSON.parse(colon.stdout).splits[0].images, splits[0]?.images);
    const wrong = await ijepaHere(['data', 'info', 'shaped']);
    t.is(wrong.code, 2);
    t.regex(wrong.stderr, /unknown data set 'shaped'[\s\S]*did you mean 'shapes'/);
    const none = await ijepaHere(['data', 'download', 'shapes', folder]);
    t.is(none.code, 2);
    t.regex(none.stderr, /shapes cannot be fetched/);
  },
);
