import { createHash } from 'node:crypto';
import { mkdir, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { openFolders } from '../../core/data/folder.js';
import { Chain, NameColumn } from '../../core/data/listing/columns.js';
import { temporaryFolder } from '../helpers/command.js';

/** Makes files of some lengths, in folders that changed long ago. */
async function makeFiles(folder: string, files: Record<string, number>): Promise<void> {
  for (const [name, length] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), 'x'.repeat(length));
  }
  await settle(folder, Object.keys(files));
}

async function settle(folder: string, names: readonly string[]): Promise<void> {
  const folders = new Set([folder]);
  for (const name of names) {
    for (let place = dirname(name); place !== '.'; place = dirname(place)) folders.add(join(folder, place));
  }
  for (const place of folders) await utimes(place, 1e9, 1e9);
}

async function namesIn(folder: string, known: string | null = null) {
  const images = await openFolders([folder], { known });
  const names = Array.from({ length: images.length }, (_, index) => images.item(index).name.slice(folder.length + 1));
  return { images, names };
}

const FILES = { 'a/1.jpg': 1, 'a/2.jpg': 22, 'a/b/3.png': 333, 'c/4.jpg': 4 };

/** A folder of these files, and its kept listing. */
async function listed(t: ExecutionContext): Promise<{ folder: string; known: string; fingerprint: string }> {
  const folder = await temporaryFolder(t);
  const photos = join(folder, 'photos');
  await makeFiles(photos, FILES);
  const { images } = await namesIn(photos);
  const known = join(folder, 'kept.listing');
  await images.keepListing(known);
  return { folder: photos, known, fingerprint: images.fingerprint };
}

test('files come in the order of their whole names, and the fingerprint is that of names and sizes in this order', async (t) => {
  const part = fc.string({
    unit: fc.constantFrom('a', 'B', '-', '.', '0', 'ä', '\u{1F600}', '\uFFEE'),
    minLength: 1,
    maxLength: 3,
  });
  const name = fc
    .array(part, { minLength: 1, maxLength: 3 })
    .map((parts) => `${parts.map((word) => `x${word}`).join('/')}.jpg`);
  const law = fc.asyncProperty(fc.uniqueArray(name, { minLength: 1, maxLength: 12 }), async (drawn) => {
    const folder = await temporaryFolder(t);
    // A name cannot be that of a file and of a folder at the same time.
    const names = drawn.filter((one) => !drawn.some((other) => other.startsWith(`${one}/`)));
    await makeFiles(folder, Object.fromEntries(names.map((one, at) => [one, at + 1])));
    const expected = [...names].sort((a, b) => (a < b ? -1 : 1));
    const hash = createHash('sha256');
    for (const one of expected) hash.update(`${one}\0${names.indexOf(one) + 1}\n`);
    const found = await namesIn(folder);
    t.deepEqual(found.names, expected);
    t.is(found.images.fingerprint, hash.digest('hex'));
    await found.images.keepListing(`${folder}.listing`);
    const again = await namesIn(folder, `${folder}.listing`);
    await rm(`${folder}.listing`);
    t.deepEqual(again.names, expected);
    t.true(again.images.wasKnown);
    t.is(again.images.fingerprint, found.images.fingerprint);
  });
  await fc.assert(law, { numRuns: 30 });
});

test('a kept listing gives what a new one gives, whatever has changed', async (t) => {
  const changes: Record<string, (folder: string) => Promise<void>> = {
    nothing: async () => {},
    'a new file': (folder) => writeFile(join(folder, 'a/b/0.jpg'), 'new'),
    'a new folder': (folder) => makeFiles(join(folder, 'b'), { '1.jpg': 5 }),
    'a file that is gone': (folder) => rm(join(folder, 'c/4.jpg')),
    'a folder that is gone': (folder) => rm(join(folder, 'a'), { recursive: true }),
    'another name': (folder) => rename(join(folder, 'a/1.jpg'), join(folder, 'a/9.jpg')),
    'another size': (folder) => writeFile(join(folder, 'a/2.jpg'), 'rewritten in its place'.repeat(2)),
  };
  for (const [change, make] of Object.entries(changes)) {
    const { folder, known } = await listed(t);
    await make(folder);
    const [fresh, kept] = [await namesIn(folder), await namesIn(folder, known)];
    t.deepEqual(kept.names, fresh.names, change);
    t.is(kept.images.fingerprint, fresh.images.fingerprint, change);
    t.is(kept.images.wasKnown, change === 'nothing', change);
  }
});

test('a folder that changed just now is not believed to be as it was listed', async (t) => {
  const folder = await temporaryFolder(t);
  await makeFiles(folder, FILES);
  await writeFile(join(folder, 'c/5.jpg'), '');
  const { images } = await namesIn(folder);
  const known = `${folder}.listing`;
  t.teardown(() => rm(known));
  await images.keepListing(known);
  t.false((await namesIn(folder, known)).images.wasKnown);
});

test('a damaged listing and another file in its place are not used', async (t) => {
  const { folder, known, fingerprint } = await listed(t);
  const { readFile } = await import('node:fs/promises');
  const whole = await readFile(known);
  for (let at = 0; at < whole.length; at += 41) {
    const damaged = Buffer.from(whole);
    damaged[at] = (damaged[at] as number) ^ 1;
    await writeFile(known, damaged);
    const { images } = await namesIn(folder, known);
    t.is(images.fingerprint, fingerprint);
    t.false(images.wasKnown);
  }
  for (const length of [0, 10, 100, whole.length - 1]) {
    await writeFile(known, whole.subarray(0, length));
    t.false((await namesIn(folder, known)).images.wasKnown);
  }
});

test('names give back what was put into them, and chains find the list of an item, however many there are', (t) => {
  const lists = Array.from({ length: 30 }, (_, list) =>
    Array.from({ length: (list * 7) % 11 }, (_, at) => `${'ä€\u{1F600}'.repeat(at % 5)}${list}-${at}.jpg`),
  );
  const chain = new Chain<NameColumn>();
  for (const names of lists) chain.add(new NameColumn(names));
  const found = Array.from({ length: chain.length }, (_, index) => {
    const { list, first, end } = chain.find(index);
    t.is(end - first, list.length);
    return list.at(index - first);
  });
  t.deepEqual(found, lists.flat());
  t.throws(() => chain.find(chain.length), { message: /there is no image/ });
});
