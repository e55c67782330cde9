import { spawnSync } from 'node:child_process';
import { mkdir, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { UserError } from '../../core/base/errors.js';
import { openFolders } from '../../core/data/folder.js';
import { openShards, openTrainingShards } from '../../core/data/shards/open.js';
import { createNetwork } from '../../core/data/shards/source.js';
import { temporaryFolder } from '../helpers/command.js';
import { type Fault, serveFolder } from '../helpers/faulty-server.js';
import { batchesOf, contentOf, pack, writePictures } from '../helpers/shards.js';

const IMAGES = 45;
const PATIENCE = { firstWaitSeconds: 0.01 };

/** The same pictures as a folder, as packed shards, and as shards made with the system's tar. */
async function threeForms(t: ExecutionContext) {
  const folder = await temporaryFolder(t);
  const [pictures, packed, plain] = ['pictures', 'packed', 'plain'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  await writePictures(pictures, IMAGES);
  const images = await openFolders([pictures]);
  await pack(images, packed);
  await mkdir(plain);
  const names = Array.from({ length: IMAGES }, (_, index) => images.item(index).place as string);
  for (let shard = 0; shard * 20 < IMAGES; shard++) {
    const some = names.slice(shard * 20, shard * 20 + 20);
    const { status, stderr } = spawnSync('tar', ['cf', join(plain, `train-${shard}.tar`), '-C', pictures, ...some]);
    t.is(status, 0, String(stderr));
  }
  return { folder, pictures, images, packed, plain };
}

const addressesOf = (address: string, last: number) => [
  `${address}/train-{000000..${String(last).padStart(6, '0')}}.tar`,
];

/** Something else goes wrong with every other request. */
const UNRULY: readonly Fault[] = ['drop', null, 'cut', null, 'busy', null, null, 'too-many', null, 'whole', null];
/** Waiting for it takes time. */
const STALLED_REQUEST = 30;

test('a folder, its shards, those of the system, and those of an unruly server give the same batches', async (t) => {
  const { images, packed, plain } = await threeForms(t);
  const indexed = await serveFolder(t, packed);
  const bare = await serveFolder(t, plain);
  for (const server of [indexed, bare]) {
    server.faultOf = (number, range) => {
      if (number === STALLED_REQUEST) return 'stall';
      const fault = UNRULY[number % UNRULY.length] ?? null;
      return fault === 'whole' && range === 'bytes=0-0' ? null : fault; // a server without ranges is refused
    };
  }
  const forms = {
    packed: await openTrainingShards([packed]),
    plain: await openTrainingShards([join(plain, 'train-{0..2}.tar')]),
    served: await openShards(expand(indexed.address, 5, 6), 'served', { ...PATIENCE, stallSeconds: 0.5 }),
    servedPlain: await openShards(expand(bare.address, 3, 1), 'served', { ...PATIENCE, stallSeconds: 0.5 }),
  };
  for (const shuffleBuffer of [null, 16]) {
    const expected = await batchesOf(images, 0, 16, { shuffleBuffer });
    t.is(new Set(expected).size, 16, 'all batches differ');
    for (const [name, form] of Object.entries(forms)) {
      t.is(form.fingerprint, images.fingerprint, name);
      t.deepEqual(await batchesOf(form, 0, 16, { shuffleBuffer }), expected, `${name}, buffer ${shuffleBuffer}`);
      t.deepEqual(await batchesOf(form, 9, 16, { shuffleBuffer }), expected.slice(9), `${name}, from the middle on`);
    }
  }
  for (const { requests } of [indexed, bare]) {
    t.deepEqual([...new Set(requests.map(({ fault }) => fault))].length, 7, 'everything went wrong some time');
  }
});

/** 'http://host/train-000000.tar' ... */
function expand(address: string, shards: number, digits: number): string[] {
  return Array.from({ length: shards }, (_, shard) => `${address}/train-${String(shard).padStart(digits, '0')}.tar`);
}

test('with a buffer, neighbours come by one request; where the memory does not hold them, each by its own', async (t) => {
  const { packed } = await threeForms(t);
  const server = await serveFolder(t, packed);
  const images = await openTrainingShards(addressesOf(server.address, 4));
  const requestsFor = async (settings: { shuffleBuffer: number | null; aheadBytes?: number }) => {
    server.requests.length = 0;
    await batchesOf(images, 0, 7, settings);
    return server.requests.length;
  };
  t.is(await requestsFor({ shuffleBuffer: null }), 42);
  t.is(await requestsFor({ shuffleBuffer: 32, aheadBytes: 1000 }), 42);
  // Chunks of four, of which those at the ends of shards of ten are in two parts.
  const chunked = await requestsFor({ shuffleBuffer: 32 });
  t.true(chunked <= 14, `${chunked} requests for 12 chunks`);
});

test('a server that stays away ends training with one message, and no image is skipped for it', async (t) => {
  const { packed } = await threeForms(t);
  const server = await serveFolder(t, packed);
  const images = await openShards(expand(server.address, 5, 6), 'served', { ...PATIENCE, tries: 4 });
  server.requests.length = 0;
  server.faultOf = (number) => (number > 20 ? 'drop' : null);
  const skipped: string[] = [];
  const unreadable = { add: (name: string) => skipped.push(name) };
  const error = await t.throwsAsync(batchesOf(images, 0, 16, { unreadable }), { instanceOf: UserError });
  t.regex(error instanceof UserError ? error.report : '', /train-00000\d\.tar cannot be fetched[\s\S]*--resume/);
  t.deepEqual(skipped, []);
  t.true(server.requests.length < 200, 'the others give up with the first');
});

test('requests that end because another one gave up fail with its error', async (t) => {
  const { packed } = await threeForms(t);
  const server = await serveFolder(t, packed);
  const network = createNetwork({ firstWaitSeconds: 0.1, tries: 2 });
  const source = await network.open(`${server.address}/train-000000.tar`);
  server.faultOf = () => 'drop';
  const readLater = async (_: unknown, number: number) => {
    await new Promise((later) => setTimeout(later, number * 20));
    return source.read(0, 512);
  };
  const reads = await Promise.allSettled(Array.from({ length: 6 }, readLater));
  const errors = reads.map((read) => (read.status === 'rejected' ? read.reason : null));
  t.true(errors[0] instanceof UserError);
  t.is(new Set(errors).size, 1);
});

test('shards of a server are packed again to the same bytes, many pictures by one request', async (t) => {
  const { folder, packed } = await threeForms(t);
  const server = await serveFolder(t, packed);
  const images = await openTrainingShards([`${server.address}/`]);
  server.requests.length = 0;
  server.faultOf = (number) => (number % 2 === 0 ? 'cut' : null);
  await pack(images, join(folder, 'again'));
  t.deepEqual(await contentOf(join(folder, 'again')), await contentOf(packed));
  t.true(server.requests.length < IMAGES);
});

test('what is not waited for any more is not skipped either', async (t) => {
  const { packed } = await threeForms(t);
  const server = await serveFolder(t, packed);
  const images = await openTrainingShards([`${server.address}/train-{000000..000004}.tar`]);
  server.requests.length = 0;
  server.faultOf = (number) => (number >= 12 ? 'stall' : null);
  const skipped: string[] = [];
  const unreadable = { add: (name: string) => skipped.push(name) };
  await t.notThrowsAsync(batchesOf(images, 0, 16, { unreadable, most: 1 }));
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 50);
  const ended = await batchesOf(images, 0, 16, { unreadable, signal: stop.signal }).catch((error: Error) => error.name);
  t.is(ended, 'AbortError');
  await new Promise((later) => setTimeout(later, 50));
  t.deepEqual(skipped, []);
});

test('what is not the same file any more is told, by its tag and by its size', async (t) => {
  const { packed } = await threeForms(t);
  const server = await serveFolder(t, packed);
  const open = () => openShards(expand(server.address, 5, 6), 'served', PATIENCE);
  const tagged = await open();
  server.tagOf = () => '"another"';
  await t.throwsAsync(batchesOf(tagged, 0, 3), { instanceOf: UserError, message: /was changed: its tag was/ });
  server.tagOf = () => null;
  const untagged = await open();
  for (const name of await readdir(packed)) if (name.endsWith('.tar')) await truncate(join(packed, name), 2048);
  await t.throwsAsync(batchesOf(untagged, 0, 3), { instanceOf: UserError, message: /was changed: it has/ });
  await t.throwsAsync(open(), { instanceOf: UserError, message: /is not the shard that its index describes/ });
});

test('a server without ranges, one without the file, and one that is not there are told apart', async (t) => {
  const { packed } = await threeForms(t);
  const server = await serveFolder(t, packed);
  const open = (address: string) => openShards([address], 'served', { ...PATIENCE, tries: 3 });
  await t.throwsAsync(open(`${server.address}/none.tar`), { instanceOf: UserError, message: /none\.tar answers 404/ });
  server.faultOf = () => 'whole';
  await t.throwsAsync(open(`${server.address}/train-000000.tar`), { message: /answers no requests for a part/ });
  server.faultOf = () => 'busy';
  await t.throwsAsync(open(`${server.address}/train-000000.tar`), { message: /the server answers 503/ });
  await t.throwsAsync(open(`${await closedAddress()}/x.tar`), { message: /cannot be fetched: .*ECONNREFUSED/ });
  await t.throwsAsync(open('http://me:secret@127.0.0.1/x.tar'), { message: /^127\.0\.0\.1 .*holds a password/ });
  await t.throwsAsync(openTrainingShards([`${server.address}/folder/`]), { instanceOf: UserError });
});

/** The address of a server that is not there any more. */
async function closedAddress(): Promise<string> {
  const server = createServer();
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return `http://127.0.0.1:${port}`;
}

test('a sample that is no image is skipped and replaced, the same one from a folder and from shards', async (t) => {
  const { folder, pictures, plain } = await threeForms(t);
  await writeFile(join(pictures, 'a/0000.png'), 'no image');
  await rm(plain, { recursive: true });
  const tar = spawnSync('tar', ['cf', join(folder, 'all.tar'), '--sort=name', '-C', pictures, 'a', 'b', 'c']);
  t.is(tar.status, 0, String(tar.stderr));
  const names: string[][] = [];
  const batches: string[][] = [];
  for (const images of [await openFolders([pictures]), await openTrainingShards([join(folder, 'all.tar')])]) {
    const found: string[] = [];
    names.push(found);
    batches.push(await batchesOf(images, 0, 14, { unreadable: { add: (name) => found.push(name) } }));
  }
  t.deepEqual(batches[0], batches[1]);
  t.deepEqual(
    [new Set(names[0]), new Set(names[1])],
    [new Set([join(pictures, 'a/0000.png')]), new Set([`${join(folder, 'all.tar')}/a/0000.png`])],
  );
});
