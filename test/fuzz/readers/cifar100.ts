import assert from 'node:assert';
import { readFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import type { Plugin } from '../../../core/plugin.js';
import plugin from '../../../plugins/cifar100/index.js';
import { type MadeEntry, makeTarGz } from '../../helpers/archives.js';
import { FIXTURES } from '../../helpers/paths.js';
import { integerBytes } from '../bytes.js';
import { editedLines } from '../lines.js';
import type { FuzzedReader } from '../reader.js';

const fixture = (form: string, name: string) => readFileSync(join(FIXTURES, 'data', form, name));
const python = (name: string) => fixture('cifar100-python', `cifar-100-python/${name}`);
const binary = (name: string) => fixture('cifar100-binary', `cifar-100-binary/${name}`);

/** Opens both parts and looks at the class of each image and at the bytes of one. */
async function open(folder: string): Promise<void> {
  const { dataSets = [] }: Plugin = plugin;
  const data = await dataSets[0]?.openLabelled?.(folder);
  if (!data) throw new Error('the plugin has no labelled data set');
  for (const part of [data.train, data.test]) {
    for (let index = 0; index < part.length; index++) assert(part.classOf(index) < data.classes.length);
    const { source } = part.item(part.length - 1);
    if (typeof source === 'function') await source();
  }
}

/** Pieces of pickles, whole and broken, that nearly mean something one after the other. */
const text = (word: string) => Buffer.concat([Buffer.from('U'), integerBytes(word.length, 1), Buffer.from(word)]);
const named = (module: string, name: string) => Buffer.from(`c${module}\n${name}\n`);
const ops = (words: string) => [...words].map((word) => Buffer.from(word, 'latin1'));
const sized = (op: string, width: number) =>
  [0, 1, 2 ** 31 - 1, 2 ** 32 - 1, 2 ** 32 - 5, 2 ** 32 - 6, 2 ** 53 - 1].map((size) =>
    Buffer.concat([Buffer.from(op, 'latin1'), integerBytes(size, width)]),
  );
const fragment: fc.Arbitrary<Uint8Array> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom(...ops('(.012])}aeustlNRbo\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94')),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(...['data', 'fine_labels', 'fine_label_names', 'apple', '__proto__'].map(text)),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      named('numpy.core.multiarray', '_reconstruct'),
      named('numpy', 'dtype'),
      named('numpy', 'ndarray'),
      named('_codecs', 'encode'),
      named('os', 'system'),
      Buffer.concat([
        named('_codecs', 'encode'),
        text('x'.repeat(200)),
        Buffer.from('latin1\n'),
        Buffer.from('\x86R', 'latin1'),
      ]),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      ...['B', 'T', 'X', 'J', 'j', 'r', '\x8b'].flatMap((op) => sized(op, 4)),
      ...['\x8d', '\x8e', '\x95', '\x96'].flatMap((op) => sized(op, 8)),
      ...['C', 'U', 'K', 'q', 'h', '\x8a', '\x8c', '\x80'].flatMap((op) => sized(op, 1)),
    ),
  },
);
const program = fc
  .array(fragment, { maxLength: 40 })
  .map((parts) => Buffer.concat([Buffer.from('\x80\x02}q\x00(', 'latin1'), ...parts, Buffer.from('u.')]));

/** An archive of the data set's files, with names, kinds and sizes that may be others. */
const archiveEntry: fc.Arbitrary<MadeEntry> = fc.record(
  {
    name: fc.constantFrom(
      ...['train.bin', 'test.bin', 'fine_label_names.txt', 'x', '../x'].map((name) => `cifar-100-binary/${name}`),
    ),
    content: fc.constantFrom(binary('train.bin'), binary('test.bin'), binary('fine_label_names.txt'), Buffer.alloc(0)),
    type: fc.constantFrom(
      'File',
      'SymbolicLink',
      'Directory',
      'CharacterDevice',
      'NextFileHasLongPath',
      'ExtendedHeader',
    ),
    linkpath: fc.constantFrom('/etc/passwd', 'train.bin'),
    claims: fc.constantFrom(0, 1, 3074, 2 ** 28, 2 ** 28 + 1, 2 ** 31, 2 ** 40),
  },
  { requiredKeys: ['name', 'content'] },
);
const rightEntries: MadeEntry[] = ['train.bin', 'test.bin', 'fine_label_names.txt'].map((name) => ({
  name: `cifar-100-binary/${name}`,
  content: binary(name),
}));
const archives = fc.oneof(
  fc.constant(fixture('cifar100-binary-archive', 'cifar-100-binary.tar.gz')),
  fc
    .tuple(fc.constantFrom([], rightEntries), fc.array(archiveEntry, { maxLength: 4 }))
    .map(([right, more]) => makeTarGz([...more, ...right])),
);

/** A file of an unpacked form; the others are right. */
function unpacked(
  name: string,
  form: 'binary' | 'python',
  inputs: fc.Arbitrary<Uint8Array>,
  file: string,
): FuzzedReader {
  return {
    name,
    file: join(`cifar-100-${form}`, file),
    inputs,
    prepare: (folder) => cp(join(FIXTURES, 'data', `cifar100-${form}`), folder, { recursive: true }),
    read: (path) => open(dirname(path)),
  };
}

export const cifar100Readers: readonly FuzzedReader[] = [
  unpacked('cifar100-records', 'binary', fc.constantFrom(binary('train.bin'), binary('test.bin')), 'train.bin'),
  unpacked('cifar100-names', 'binary', editedLines(['apple', 'aquarium_fish', 'baby', 'bear']), 'fine_label_names.txt'),
  unpacked('cifar100-pickle', 'python', fc.oneof(fc.constantFrom(python('train'), python('test')), program), 'train'),
  unpacked('cifar100-pickled-names', 'python', fc.oneof(fc.constant(python('meta')), program), 'meta'),
  {
    name: 'cifar100-archive',
    file: 'cifar-100-binary.tar.gz',
    inputs: archives,
    read: (path) => open(dirname(path)),
  },
];
