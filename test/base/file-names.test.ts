import { spawnSync } from 'node:child_process';
import { mkdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { bytesOfName, nameFromBytes, shownName } from '../../core/base/file-names.js';
import { openFolders } from '../../core/data/folder.js';
import { NameColumn } from '../../core/data/listing/columns.js';
import { readPicture } from '../../core/data/read-picture.js';
import { temporaryFolder } from '../helpers/command.js';
import { COMMAND } from '../helpers/paths.js';
import { pictureOf } from '../helpers/shards.js';

/** Names as a Unix system takes them: any bytes but 0 and '/'. Those of UTF-8 and of its broken pieces come up often. */
const NAME = fc
  .array(
    fc.oneof(
      fc.integer({ min: 1, max: 255 }).map((byte) => Buffer.of(byte)),
      fc.constantFrom('é', '\\x', 'e9', '\ufffd', '\u{1F600}', '\n').map((text) => Buffer.from(text)),
    ),
    { minLength: 1, maxLength: 12 },
  )
  .map((parts) => Buffer.concat(parts))
  .filter((name) => !name.includes(0x2f));

test('a name of any bytes has a text of its own, from which they come back, and is shown in one line of its own', (t) => {
  fc.assert(
    fc.property(NAME, NAME, (a, b) => {
      const [first, second] = [nameFromBytes(a), nameFromBytes(b)];
      t.deepEqual(bytesOfName(first), a);
      t.is(first === second, a.equals(b));
      t.is(shownName(first) === shownName(second), a.equals(b));
      t.notRegex(shownName(first), /\p{Cc}/u);
      t.true(shownName(first).isWellFormed());
    }),
    { numRuns: 1000 },
  );
  t.is(shownName(nameFromBytes(Buffer.from('caf\xe9.jpg', 'latin1'))), 'caf\\xe9.jpg');
  t.is(shownName('café à la crème.jpg'), 'café à la crème.jpg');
  t.is(shownName('a\tb\\.jpg'), 'a\\tb\\\\.jpg');
  t.is(shownName('a\\b.jpg'), 'a\\b.jpg', 'a backslash alone stays');
});

test('columns of names keep those of any bytes', (t) => {
  fc.assert(
    fc.property(fc.array(NAME, { maxLength: 30 }), (names) => {
      const column = new NameColumn(names.map(nameFromBytes));
      t.deepEqual(
        names.map((_, at) => column.at(at)),
        names.map(nameFromBytes),
      );
    }),
    { numRuns: 200 },
  );
});

test('pictures and folders of names that are not UTF-8 are listed, read, kept in a listing and told apart', async (t) => {
  const folder = await temporaryFolder(t);
  const photos = join(folder, 'photos');
  const bytes = (name: string) => Buffer.concat([Buffer.from(`${photos}/`), Buffer.from(name, 'latin1')]);
  await mkdir(photos);
  const names = ['caf\xe9.jpg', 'caf\xe8.jpg', 'f\xfcr/one.jpg', 'f\xfcr/\xff.jpg', 'plain.jpg'];
  await mkdir(bytes('f\xfcr'));
  for (const [at, name] of names.entries()) await writeFile(bytes(name), await pictureOf('x.jpg', at));
  for (const place of [photos, bytes('f\xfcr')]) await utimes(place, 1e9, 1e9);
  const images = await openFolders([photos]);
  const placesOf = (found: typeof images) =>
    Array.from({ length: found.length }, (_, index) => found.item(index).place ?? '');
  t.deepEqual(
    placesOf(images)
      .map((place) => bytesOfName(place).toString('latin1'))
      .sort(),
    [...names].sort(),
  );
  for (let index = 0; index < images.length; index++) {
    t.true((await readPicture(images.item(index), 1e6)).width > 0, images.item(index).name);
  }
  t.true(placesOf(images).every((_, index) => images.item(index).name.isWellFormed()));
  await images.keepListing(join(folder, 'kept'));
  const again = await openFolders([photos], { known: join(folder, 'kept') });
  t.true(again.wasKnown);
  t.deepEqual([placesOf(again), again.fingerprint], [placesOf(images), images.fingerprint]);
  await writeFile(
    join(folder, 'list.txt'),
    Buffer.concat(names.map((name) => Buffer.concat([bytes(name), Buffer.from('\n')]))),
  );
  t.is((await openFolders([join(folder, 'list.txt')])).length, names.length, 'a list has them as bytes');
});

test('an argument that is not UTF-8 names its folder; nothing is written under such a name', async (t) => {
  const folder = await temporaryFolder(t);
  const data = Buffer.concat([Buffer.from(`${folder}/`), Buffer.from('caf\xe9', 'latin1')]);
  await mkdir(data);
  await writeFile(Buffer.concat([data, Buffer.from('/1.jpg')]), await pictureOf('1.jpg', 1));
  const run = (args: string) => {
    const script = `name=$(printf 'caf\\351'); exec "${process.execPath}" "${COMMAND}" ${args}`;
    return spawnSync('sh', ['-c', script], { cwd: folder, encoding: 'utf8' });
  };
  const packed = run('data pack "$name" --out packed');
  t.is(packed.status, 0, packed.stderr);
  t.regex(packed.stdout, /1 image in 1 shard/);
  const refused = run('data pack "$name" --out "$name.out"');
  t.deepEqual(
    [refused.status, refused.stderr.split('\n')[0]],
    [2, 'ijepa: caf\\xe9.out cannot be written: its name is not UTF-8'],
  );
});
