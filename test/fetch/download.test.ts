import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { UserError } from '../../core/base/errors.js';
import { type DownloadOptions, downloadFile } from '../../core/fetch/download.js';
import { extractArchive } from '../../core/fetch/extract.js';
import { type MadeEntry, makeTar, makeTarGz, makeZip } from '../helpers/archives.js';
import { temporaryFolder } from '../helpers/command.js';
import {
  type Answer,
  breaksAfter,
  serveFile,
  slow,
  status,
  stopsAfter,
  whole,
  withoutRanges,
} from '../helpers/faulty-server.js';

const CONTENT = randomBytes(200_000);
const FAST: DownloadOptions = { firstWaitSeconds: 0.01 };

const md5 = (content: Buffer) => ({ algorithm: 'md5', hex: createHash('md5').update(content).digest('hex') }) as const;
const sha256 = (content: Buffer) =>
  ({ algorithm: 'sha256', hex: createHash('sha256').update(content).digest('hex') }) as const;

/** Downloads from a server that gives these answers. */
async function download(t: ExecutionContext, answers: readonly Answer[], more: DownloadOptions = {}, known = {}) {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'file.bin');
  const { address, requests, client } = await serveFile(t, CONTENT, answers);
  const retries: string[] = [];
  const fetch = () =>
    downloadFile({ url: `${address}/file.bin`, ...known }, path, {
      ...FAST,
      ...more,
      onProgress(bytes, total) {
        client.bytes = bytes;
        more.onProgress?.(bytes, total);
      },
      onRetry: (reason) => retries.push(reason),
    });
  return { folder, path, requests, retries, fetch };
}

/** The whole file and nothing else is there. */
async function isWhole(t: ExecutionContext, folder: string, path: string): Promise<void> {
  t.true(CONTENT.equals(await readFile(path)));
  t.deepEqual(await readdir(folder), ['file.bin']);
}

test('a file arrives whole, and how much is there is told', async (t) => {
  let last: [number, number | null] = [0, null];
  const onProgress: DownloadOptions['onProgress'] = (bytes, total) => {
    last = [bytes, total];
  };
  const { folder, path, fetch } = await download(t, [whole], { onProgress }, { checksum: sha256(CONTENT) });
  await fetch();
  await isWhole(t, folder, path);
  t.deepEqual(last, [CONTENT.length, CONTENT.length]);
});

test('a connection that breaks is gone on with where it broke, if the file is still the same', async (t) => {
  const { folder, path, requests, fetch } = await download(t, [breaksAfter(50_000), breaksAfter(60_000), whole]);
  await fetch();
  await isWhole(t, folder, path);
  t.is(requests.length, 3);
  t.deepEqual(
    requests.map(({ range }) => range),
    [undefined, 'bytes=50000-', 'bytes=110000-'],
  );
  t.is(requests[2]?.ifRange, `"${CONTENT.length}-${CONTENT[0]}"`);
});

test('a later call goes on with what an earlier one left', async (t) => {
  const first = await download(t, [breaksAfter(70_000), status(404), whole]);
  const error = await t.throwsAsync(first.fetch(), { instanceOf: UserError });
  t.regex(error?.message ?? '', /answers 404/);
  t.deepEqual(await readFile(`${first.path}.part`), CONTENT.subarray(0, 70_000));
  await first.fetch();
  t.is(first.requests[2]?.range, 'bytes=70000-');
  await isWhole(t, first.folder, first.path);
});

test('a server without ranges is read from the start again', async (t) => {
  const { folder, path, requests, fetch } = await download(t, [breaksAfter(90_000, false), withoutRanges]);
  await fetch();
  t.is(requests[1]?.range, 'bytes=90000-');
  await isWhole(t, folder, path);
});

test('a part of which nothing is known, and no checksum would tell, is not gone on with', async (t) => {
  const { folder, path, requests, fetch } = await download(t, [whole]);
  await writeFile(`${path}.part`, Buffer.alloc(1000, 1));
  await fetch();
  t.is(requests[0]?.range, undefined);
  await isWhole(t, folder, path);
});

test('a part whose tag is no longer that of the file is not gone on with', async (t) => {
  const { folder, path, requests, fetch } = await download(t, [breaksAfter(40_000), status(404), whole]);
  await t.throwsAsync(fetch());
  const record = JSON.parse(await readFile(`${path}.part.json`, 'utf8'));
  await writeFile(`${path}.part.json`, JSON.stringify({ ...record, validator: '"old"' }));
  await writeFile(`${path}.part`, Buffer.alloc(40_000, 7));
  await fetch();
  t.is(requests[2]?.ifRange, '"old"');
  await isWhole(t, folder, path);
});

test('a part that turns out damaged is fetched once more from the start', async (t) => {
  const { folder, path, requests, fetch } = await download(t, [whole], {}, { checksum: md5(CONTENT) });
  await writeFile(`${path}.part`, Buffer.alloc(40_000, 7));
  await fetch();
  t.deepEqual(
    requests.map(({ range }) => range),
    ['bytes=40000-', undefined],
  );
  await isWhole(t, folder, path);
});

test('a part that is already all there needs no request; one that is too long is not used', async (t) => {
  const known = { checksum: md5(CONTENT), bytes: CONTENT.length };
  const { folder, path, requests, fetch } = await download(t, [whole], {}, known);
  await writeFile(`${path}.part`, CONTENT);
  await fetch();
  t.is(requests.length, 0);
  await isWhole(t, folder, path);
  const longer = await download(t, [whole], {}, { checksum: md5(CONTENT) });
  await writeFile(`${longer.path}.part`, Buffer.concat([CONTENT, CONTENT]));
  await longer.fetch();
  t.is(longer.requests[0]?.range, `bytes=${2 * CONTENT.length}-`, 'answered with 416');
  await isWhole(t, longer.folder, longer.path);
});

test('busy servers are tried again, and so is one that stalls', async (t) => {
  const busy = await download(t, [status(503), status(429), stopsAfter(30_000), whole], {
    stallSeconds: 1,
  });
  await busy.fetch();
  await isWhole(t, busy.folder, busy.path);
  t.regex(busy.retries.join('\n'), /503[\s\S]*429[\s\S]*nothing arrived for 1 seconds/);
  t.is(busy.requests[3]?.range, 'bytes=30000-');
});

test('a slow server is waited for as long as something arrives', async (t) => {
  const { folder, path, retries, fetch } = await download(t, [slow(20_000, 250)], { stallSeconds: 2 });
  await fetch();
  t.deepEqual(retries, []);
  await isWhole(t, folder, path);
});

test('redirects are followed', async (t) => {
  const { folder, path, requests, fetch } = await download(t, [status(302, { location: '/elsewhere' }), whole]);
  await fetch();
  t.is(requests[1]?.path, '/elsewhere');
  await isWhole(t, folder, path);
});

test('tries end: with a server that stays away, and with one that breaks at the same place without ranges', async (t) => {
  const down = await download(t, [status(500)], { tries: 3 });
  const error = await t.throwsAsync(down.fetch(), { instanceOf: UserError });
  t.regex(error?.message ?? '', /cannot be fetched: the server answers 500/);
  t.is(down.requests.length, 3);
  const breaking = await download(t, [breaksAfter(10_000, false)], { tries: 3 });
  await t.throwsAsync(breaking.fetch(), { instanceOf: UserError, message: /cannot be fetched/ });
  t.is(breaking.requests.length, 3, 'the first one brought something new, the others did not');
  const folder = await temporaryFolder(t);
  const nobody = downloadFile({ url: 'http://127.0.0.1:1/x' }, join(folder, 'x'), { ...FAST, tries: 2 });
  await t.throwsAsync(nobody, { instanceOf: UserError, message: /cannot be fetched: .*(?:ECONNREFUSED|bad port)/ });
});

test('what is not the file is refused, and nothing is left of it', async (t) => {
  const damaged = await download(t, [whole], {}, { checksum: md5(Buffer.from('other')) });
  await t.throwsAsync(damaged.fetch(), { instanceOf: UserError, message: /arrived damaged: its MD5 is/ });
  t.deepEqual(await readdir(damaged.folder), []);
  t.is(damaged.requests.length, 1);
  const length = await download(t, [whole], {}, { bytes: 5 });
  await t.throwsAsync(length.fetch(), { instanceOf: UserError, message: /has 200000 bytes/ });
  t.deepEqual(await readdir(length.folder), []);
  const page: Answer = (response) => {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end('<html>please log in</html>');
  };
  const login = await download(t, [page]);
  await t.throwsAsync(login.fetch(), { instanceOf: UserError, message: /answers with a web page/ });
  t.deepEqual(await readdir(login.folder), []);
});

test('a length that is wrong is noticed', async (t) => {
  const short: Answer = (response, content) => {
    response.writeHead(200, { 'content-length': content.length });
    response.write(content.subarray(0, 100), () => setTimeout(() => response.destroy(), 200));
  };
  const announced = await download(t, [short], { tries: 2 });
  await t.throwsAsync(announced.fetch(), { instanceOf: UserError, message: /cannot be fetched/ });
  t.false(existsSync(announced.path));
  const unannounced: Answer = (response, content) => {
    response.write(content.subarray(0, 60)); // in chunks, of which the last one ends the answer in order
    response.end(content.subarray(60, 100));
  };
  const known = await download(t, [unannounced], { tries: 2 }, { bytes: CONTENT.length });
  await t.throwsAsync(known.fetch(), { instanceOf: UserError, message: /broke off after 100 bytes/ });
  t.false(existsSync(known.path));
});

test('a signal stops a download and leaves its part', async (t) => {
  const aborter = new AbortController();
  const onProgress = () => aborter.abort(new Error('stopped'));
  const { folder, path, fetch } = await download(t, [slow(20_000, 30)], { onProgress, signal: aborter.signal });
  await t.throwsAsync(fetch(), { message: 'stopped' });
  t.deepEqual((await readdir(folder)).sort(), ['file.bin.part', 'file.bin.part.json']);
  const part = await readFile(`${path}.part`);
  t.true(part.length > 0 && part.equals(CONTENT.subarray(0, part.length)));
});

test('a full disk is named as such', async (t) => {
  if (!existsSync('/dev/full')) {
    t.log('left out: this system has no device that is always full');
    t.pass();
    return;
  }
  const { path, fetch } = await download(t, [whole]);
  await symlink('/dev/full', `${path}.part`);
  const error = await t.throwsAsync(fetch(), { instanceOf: UserError });
  t.regex(error?.message ?? '', /file\.bin cannot be written: the disk is full/);
});

/** Unpacks an archive, and tells what then lies in its folder and beside it. */
async function unpack(t: ExecutionContext, name: string, content: Buffer, options = {}) {
  const folder = await temporaryFolder(t);
  const target = join(folder, 'target');
  await mkdir(target);
  await writeFile(join(folder, name), content);
  let error: unknown;
  try {
    await extractArchive(join(folder, name), target, options);
  } catch (thrown) {
    error = thrown;
  }
  const beside = (await readdir(folder)).filter((other) => other !== name && other !== 'target');
  return { error, target, beside, names: (await readdir(target, { recursive: true })).sort() };
}

const GOOD: MadeEntry[] = [
  { name: 'set/', type: 'Directory', mode: 0o040755 },
  { name: 'set/a.txt', content: 'A' },
  { name: 'set/deep/er/b.txt', content: 'B'.repeat(3000) },
];

test('archives of each kind are unpacked, or some of their entries', async (t) => {
  const made = {
    'x.tar': makeTar(GOOD),
    'x.tar.gz': makeTarGz(GOOD),
    'x.tgz': makeTarGz(GOOD),
    'x.zip': makeZip(GOOD),
  };
  for (const [name, content] of Object.entries(made)) {
    const { error, names, target } = await unpack(t, name, content);
    t.is(error, undefined, name);
    t.deepEqual(names, ['set', 'set/a.txt', 'set/deep', 'set/deep/er', 'set/deep/er/b.txt']);
    t.is(await readFile(join(target, 'set/deep/er/b.txt'), 'utf8'), 'B'.repeat(3000));
    const some = await unpack(t, name, content, { selects: (entry: string) => entry.endsWith('a.txt') });
    t.deepEqual(some.names, ['set', 'set/a.txt']);
  }
});

test('links inside the folder are kept', async (t) => {
  const { error, target } = await unpack(
    t,
    'x.tar',
    makeTar([...GOOD, { name: 'set/deep/link', type: 'SymbolicLink', linkpath: '../a.txt' }]),
  );
  t.is(error, undefined);
  t.is(await readFile(join(target, 'set/deep/link'), 'utf8'), 'A');
});

const OUTSIDE =
  /holds [\s\S]*(?:a path that leads out|an absolute path|leads out of the folder|neither a file nor a folder)/;

test('archives that reach out of their folder are refused, and nothing is written outside', async (t) => {
  const evil: MadeEntry[] = [
    { name: '../evil', content: 'x' },
    { name: 'set/../../evil', content: 'x' },
    { name: 'set\\..\\..\\evil', content: 'x' },
    { name: '/tmp/ijepa-evil', content: 'x' },
    { name: 'C:/evil', content: 'x' },
  ];
  const links: MadeEntry[] = [
    { name: 'link', type: 'SymbolicLink', linkpath: '/etc' },
    { name: 'link', type: 'SymbolicLink', linkpath: '../beside' },
    { name: 'set/link', type: 'SymbolicLink', linkpath: '../../beside' },
    { name: 'set/link', type: 'SymbolicLink', linkpath: 'deep/../../..' },
    { name: 'link', type: 'Link', linkpath: '../x.tar' },
    { name: 'link', type: 'Link', linkpath: '/etc/passwd' },
    { name: 'pipe', type: 'FIFO' },
    { name: 'device', type: 'CharacterDevice' },
  ];
  const archives: [string, Buffer][] = [
    ...[...evil, ...links].map((entry): [string, Buffer] => ['x.tar', makeTar([...GOOD, entry])]),
    ...evil.map((entry): [string, Buffer] => ['x.tar.gz', makeTarGz([entry, ...GOOD])]),
    ...evil.map((entry): [string, Buffer] => ['x.zip', makeZip([entry])]),
    ['x.zip', makeZip([...GOOD, { name: 'link', content: '/etc', mode: 0o120777 }])],
    ['x.zip', makeZip([{ name: 'device', mode: 0o020666 }])],
  ];
  for (const [name, content] of archives) {
    const { error, beside } = await unpack(t, name, content);
    t.true(error instanceof UserError, name);
    t.regex(String(error), /\.zip is not|holds/);
    if (!name.endsWith('.zip')) t.regex(String(error), OUTSIDE);
    t.deepEqual(beside, []);
    t.false(existsSync('/tmp/ijepa-evil'));
  }
});

test('what an archive puts behind a link of its own is not written through it', async (t) => {
  const entries: MadeEntry[] = [
    ...GOOD,
    { name: 'way', type: 'SymbolicLink', linkpath: 'set' },
    { name: 'way/a.txt', content: 'changed' },
  ];
  const { error, target } = await unpack(t, 'x.tar', makeTar(entries));
  t.true(error instanceof UserError, String(error));
  t.is(await readFile(join(target, 'set/a.txt'), 'utf8'), 'A');
});

test('damaged archives are refused: cut off at any place, or other files', async (t) => {
  const noise = [...GOOD, { name: 'set/noise', content: randomBytes(5000) }];
  for (const [name, content] of [
    ['x.tar', makeTar(noise)],
    ['x.tar.gz', makeTarGz(noise)],
    ['x.zip', makeZip(noise)],
  ] as const) {
    for (const part of [0.2, 0.5, 0.8]) {
      const { error } = await unpack(t, name, content.subarray(0, Math.floor(content.length * part) + 100));
      t.true(error instanceof UserError, `${name}, ${part} of it: ${error}`);
      t.regex(String(error), /is not a whole (?:tar|zip) archive and cannot be unpacked/);
    }
    t.true((await unpack(t, name, Buffer.from('<html>this is no archive</html>'))).error instanceof UserError, name);
  }
});

test('archives that hold more than allowed are refused', async (t) => {
  for (const [name, content] of [
    ['x.tar', makeTar(GOOD)],
    ['x.zip', makeZip(GOOD)],
  ] as const) {
    const bytes = await unpack(t, name, content, { limits: { bytes: 2000, entries: 10 } });
    t.regex(String(bytes.error), /holds more than 2000 bytes/);
    t.false(bytes.names.includes('set/deep/er/b.txt'));
    const entries = await unpack(t, name, content, { limits: { bytes: 1e6, entries: 2 } });
    t.regex(String(entries.error), /holds more than 2 entries/);
  }
  const bomb = makeTarGz([{ name: 'zeros', content: Buffer.alloc(50e6) }]);
  const { error } = await unpack(t, 'x.tar.gz', bomb, { limits: { bytes: 1e6, entries: 10 } });
  t.regex(String(error), /holds more than 1000000 bytes|decompression ratio exceeded/);
});
