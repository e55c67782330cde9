import assert from 'node:assert';
import { lstat, mkdtemp, readdir, realpath, rm } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { extractArchive } from '../../../core/fetch/extract.js';
import { type MadeEntry, makeTar, makeZip } from '../../helpers/archives.js';
import type { FuzzedReader } from '../reader.js';

const LIMITS = { bytes: 1 << 20, entries: 50 };

const NAMES = [
  ...['a', 'a/b', 'a/b/c', 'dir/', 'dir/x', './a', 'a//b', 'a/./b', 'link', 'link/x', 'ä', 'CON', 'a:b', ' ', '.'],
  ...['..', '../x', 'a/../../x', 'a/..', '/abs', '//abs', '\\abs', 'C:\\x', 'C:x', 'a\\..\\..\\x', 'x\0y', '\u001b[2J'],
  ...['x'.repeat(90), `${'d/'.repeat(45)}x`, '__proto__'],
];
const TARGETS = ['a', 'dir', '.', '..', '../..', '/etc', '/etc/passwd', 'a/../../x', '../x', 'link', '\\\\host', ''];

const entry: fc.Arbitrary<MadeEntry> = fc.record(
  {
    name: fc.constantFrom(...NAMES),
    content: fc.oneof(fc.string({ maxLength: 30 }), fc.constant('x'.repeat(600))),
    type: fc.constantFrom(
      ...([
        'File',
        'OldFile',
        'ContiguousFile',
        'Directory',
        'SymbolicLink',
        'Link',
        'CharacterDevice',
        'FIFO',
      ] as const),
      ...([
        'GNUDumpDir',
        'ExtendedHeader',
        'GlobalExtendedHeader',
        'NextFileHasLongPath',
        'NextFileHasLongLinkpath',
      ] as const),
    ),
    linkpath: fc.constantFrom(...TARGETS),
    mode: fc.constantFrom(0o100644, 0o120777, 0o040755, 0o020644, 0, 0o100000),
    claims: fc.constantFrom(0, 1, 511, 513, 2 ** 20 + 1, 2 ** 33, 2 ** 53 - 1, -1),
  },
  { requiredKeys: ['name'] },
);
/** Headers of the next entry, as the newer format has them: `length key=value`. */
const said = fc
  .tuple(
    fc.constantFrom('size', 'path', 'linkpath', 'mtime', '__proto__', 'x'),
    fc.constantFrom('-1', '0', 'NaN', '1e9', '99999999999999999999', '../x', '/x', 'a', ''),
  )
  .map(([key, value]): MadeEntry => {
    const text = ` ${key}=${value}\n`;
    return {
      name: 'PaxHeader/a',
      type: 'ExtendedHeader',
      content: `${text.length + (text.length > 7 ? 2 : 1)}${text}`,
    };
  });
/** Such as are all right, among which links lead somewhere. */
const harmless: fc.Arbitrary<MadeEntry> = fc.oneof(
  fc.record({ name: fc.constantFrom('a', 'b', 'dir/a', 'dir/sub/b', './c'), content: fc.string({ maxLength: 30 }) }),
  fc.record({
    name: fc.constantFrom('dir/', 'dir/sub/'),
    type: fc.constant('Directory' as const),
    mode: fc.constant(0o040755),
  }),
  fc.record({
    name: fc.constantFrom('l', 'dir/l'),
    type: fc.constantFrom('SymbolicLink' as const, 'Link' as const),
    linkpath: fc.constantFrom('a', 'dir', 'dir/a', '..', '../a', 'l'),
  }),
);
const hostile = fc.array(fc.oneof({ weight: 5, arbitrary: entry }, { weight: 1, arbitrary: said }), { maxLength: 6 });
const entries = fc.oneof(
  hostile,
  fc.array(harmless, { maxLength: 6 }),
  fc.tuple(fc.array(harmless, { maxLength: 4 }), hostile).map((parts) => parts.flat()),
);

/** Unpacks into a folder of its own, and looks at what is there afterwards. */
async function unpack(path: string): Promise<void> {
  const place = dirname(path);
  const folder = await mkdtemp(join(place, 'into-'));
  const before = await readdir(place);
  try {
    await extractArchive(path, folder, { limits: LIMITS });
  } finally {
    assert.deepEqual(await readdir(place), before, 'something was written outside the folder');
    await checkContent(folder);
    // Where it was refused, files that were begun before may still come to their ends.
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Files, folders and links that stay inside, no larger than allowed. */
async function checkContent(folder: string): Promise<void> {
  const root = await realpath(folder);
  let bytes = 0;
  for (const path of await entriesBelow(folder)) {
    const found = await lstat(path).catch(() => null);
    if (!found) continue;
    assert(found.isFile() || found.isDirectory() || found.isSymbolicLink(), `${path} is something else`);
    if (found.isFile()) bytes += found.size;
    const leads = await realpath(path).catch(() => root); // a link may lead to nothing
    assert(leads === root || leads.startsWith(root + sep), `${path} leads to ${leads}`);
  }
  assert(bytes <= LIMITS.bytes, `${bytes} bytes were unpacked`);
}

/** Everything below a folder, links not followed. Of a refused archive, what was begun before may vanish meanwhile. */
async function entriesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const paths = entries.map(async (entry) => {
    const path = join(folder, entry.name);
    return [path, ...(entry.isDirectory() ? await entriesBelow(path) : [])];
  });
  return (await Promise.all(paths)).flat();
}

export const archiveReaders: readonly FuzzedReader[] = [
  { name: 'tar', file: 'x.tar', inputs: entries.map(makeTar), read: unpack },
  { name: 'tar-gz', file: 'x.tar.gz', inputs: entries.map((made) => gzipSync(makeTar(made))), read: unpack },
  { name: 'zip', file: 'x.zip', inputs: entries.map(makeZip), read: unpack },
];
