import assert from 'node:assert';
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { readListing } from '../../../core/data/listing/kept.js';
import { expandBraces } from '../../../core/data/shards/address.js';
import { parsePackIndex, parseShardIndex } from '../../../core/data/shards/index-file.js';
import { readSamples } from '../../../core/data/shards/samples.js';
import { withOpenFile } from '../../../core/data/shards/source.js';
import { type MadeEntry, makeTar } from '../../helpers/archives.js';
import { FIXTURES } from '../../helpers/paths.js';
import { editedJson } from '../json.js';
import type { FuzzedReader } from '../reader.js';

const PACKED = join(FIXTURES, 'data', 'webdataset-packed');
/** Most places that a pattern of the fuzzer's may name; the program's own limit is higher. */
const MOST_PLACES = 2_000_000;

/** Files of samples: images, classes, and what is neither, under names that agree or do not. */
const entry: fc.Arbitrary<MadeEntry> = fc.record(
  {
    name: fc
      .tuple(
        fc.constantFrom('a', 'b', 'dir/a', './a', 'dir.x/a', '', '.hidden', 'x'.repeat(90), '../a', '/a', '\u001b[2J'),
        fc.constantFrom('.jpg', '.JPG', '.cls', '.json', '.seg.png', '.png', '', '.'),
      )
      .map((parts) => parts.join('')),
    content: fc.constantFrom('0', '7', '-1', '1e3', '99999999999999999999', 'cat', '', ' 3\n', '0'.repeat(5000), 'ä'),
    type: fc.constantFrom(
      'File',
      'File',
      'OldFile',
      'Directory',
      'SymbolicLink',
      'Link',
      'SparseFile',
      'ExtendedHeader',
      'GNUDumpDir',
    ),
    claims: fc.constantFrom(0, 1, 511, 513, 2 ** 20 + 1, 2 ** 33, 2 ** 53 - 1, -1),
  },
  { requiredKeys: ['name', 'content'] },
);

async function readShard(path: string): Promise<void> {
  const { size } = statSync(path);
  const { length, offsets, sizes, classes, apart, texts } = await withOpenFile(path, (source) => readSamples(source));
  let end = 0;
  for (let row = 0; row < length; row++) {
    const offset = offsets[row] as number;
    assert(offset >= end, `sample ${row} lies in the one before it`);
    const content = apart.get(row);
    end = offset + (content?.stored ?? (sizes[row] as number));
    for (const piece of content?.pieces ?? [])
      assert(piece.offset + piece.bytes <= size, `sample ${row} lies beyond its shard`);
    assert(end <= size, `sample ${row} ends beyond its shard`);
    assert((classes[row] as number) >= -1 - texts.length, `sample ${row} has no class that could be`);
  }
}

/** The text of an index, changed as JSON. */
const indexText = (file: string) =>
  editedJson(fc.constant(JSON.parse(readFileSync(join(PACKED, file), 'utf8')))).map((text) => Buffer.from(text));

/** A kept listing as it was written, changed anywhere. */
const listing: fc.Arbitrary<Uint8Array> = fc
  .tuple(fc.json(), fc.nat(200), fc.uint8Array({ maxLength: 80 }))
  .map(([json, at, bytes]) => {
    const content = Buffer.from(`${json}\n`);
    const hash = createHash('sha256').update(content).digest('hex');
    const file = Buffer.concat([Buffer.from(`listing 3 ${hash}\n`), content]);
    return Buffer.concat([file.subarray(0, at), bytes, file.subarray(at + bytes.length)]);
  });

const pattern = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        'a',
        '/',
        '..',
        '{',
        '}',
        ',',
        '{a,b}',
        '{0..3}',
        '{000000..000146}',
        '{5..1}',
        '{1..1e9}',
        '{a..c}',
      ),
      fc.constantFrom('{0..99999999999}', '{}', '{,}', '{-1..3}', '{1...3}', '.tar', 'http://host/', '\0'),
      fc.string({ maxLength: 5 }),
    ),
    { maxLength: 6 },
  )
  .map((parts) => Buffer.from(parts.join('')));

export const shardReaders: readonly FuzzedReader[] = [
  { name: 'shard', file: 'train-000000.tar', inputs: fc.array(entry, { maxLength: 6 }).map(makeTar), read: readShard },
  {
    name: 'index-of-shards',
    file: 'index.json',
    inputs: indexText('index.json'),
    read: async (path) => void parsePackIndex(await readFile(path, 'utf8'), path),
  },
  {
    name: 'index-of-a-shard',
    file: 'train-000000.json',
    inputs: indexText('train-000000.json'),
    read: async (path) => void parseShardIndex(await readFile(path, 'utf8'), path),
  },
  {
    name: 'shard-pattern',
    file: 'pattern.txt',
    inputs: pattern,
    read: async (path) => assert(expandBraces(await readFile(path, 'utf8')).length <= MOST_PLACES),
  },
  { name: 'kept-listing', file: 'listing.bin', inputs: listing, read: async (path) => void (await readListing(path)) },
];
