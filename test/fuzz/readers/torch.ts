import assert from 'node:assert';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { metaCheckpoint } from '../../../core/exchange/meta.js';
import { readTorchFile } from '../../../core/exchange/torch/read.js';
import { isDictionary, isList, isTensor, type TorchTensor, type TorchTree } from '../../../core/exchange/torch/tree.js';
import { FIXTURES } from '../../helpers/paths.js';
import { legacyFile, pickledTensor, pickledText } from '../../helpers/torch.js';
import { integerBytes } from '../bytes.js';
import type { FuzzedReader } from '../reader.js';

const fixture = (name: string) => readFileSync(join(FIXTURES, 'torch', name));

/** As many tensors of an input are read. */
const MOST_TENSORS = 50;

/** Tensors of a tree, each once, as the tree may hold itself. */
function tensorsOf(tree: TorchTree): TorchTensor[] {
  const seen = new Set<TorchTree>([tree]);
  for (const part of seen) if (isDictionary(part) || isList(part)) for (const each of part.values()) seen.add(each);
  return [...seen].filter((part) => isTensor(part));
}

async function read(path: string): Promise<void> {
  for (const tensor of tensorsOf(await readTorchFile(path)).slice(0, MOST_TENSORS)) {
    const { length } = await tensor.read();
    assert.strictEqual(
      length,
      tensor.shape.reduce((product, side) => product * side, 1),
    );
  }
}

/** Pieces of pickles, whole and broken, that nearly mean something one after the other. */
const numbers = [
  'K\x00',
  'K\x01',
  'K\x06',
  'J\xff\xff\xff\xff',
  'J\xff\xff\xff\x7f',
  '\x8a\x07\xff\xff\xff\xff\xff\xff\x1f',
  'N',
];
const number = fc.constantFrom(...numbers);
const sizes = fc.array(number, { maxLength: 4 }).map((each) => each.join(''));
const tensor = fc.record(
  {
    storage: fc.constantFrom('FloatStorage', 'HalfStorage', 'LongStorage', 'BoolStorage', 'CharStorage'),
    key: fc.constantFrom('0', '1', '__proto__'),
    count: number,
    offset: number,
    shape: fc.oneof({ weight: 3, arbitrary: fc.constant('K\x06') }, { weight: 1, arbitrary: sizes }),
    strides: fc.oneof({ weight: 3, arbitrary: fc.constant('K\x01') }, { weight: 1, arbitrary: sizes }),
  },
  { requiredKeys: ['shape', 'strides'] },
);
const sized = (op: string, width: number) =>
  [0, 1, 5, 2 ** 31 - 1, 2 ** 32 - 1].map((size) => op + Buffer.from(integerBytes(size, width)).toString('latin1'));
const fragment = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...'(.)]}aeustlNRbQ012\x81\x85\x86\x87\x88\x89\x8f\x90\x93\x94') },
  { weight: 2, arbitrary: number },
  {
    weight: 2,
    arbitrary: fc.constantFrom(...['a', 'shape', '__dict__', '__proto__', '__setstate__'].map(pickledText)),
  },
  { weight: 4, arbitrary: tensor.map(pickledTensor) },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom(
        ...[
          'collections\nOrderedDict',
          'torch._utils\n_rebuild_tensor_v2',
          'torch._utils\n_rebuild_parameter',
          'os\nsystem',
        ],
        ...['torch\nFloatStorage', '__builtin__\ngetattr'],
      )
      .map((name) => `c${name}\n`),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      ...['X', 'T', 'r', 'j'].flatMap((op) => sized(op, 4)),
      ...['q', 'h', 'U', '\x8a', '\x8c'].flatMap((op) => sized(op, 1)),
    ),
  },
);
const programs = fc
  .tuple(fc.array(fragment, { maxLength: 30 }), fc.constantFrom('0', '1'), fc.constantFrom(6, 0, -1, 2 ** 40))
  .map(([parts, key, count]) => legacyFile(`](${parts.join('')}e`, [{ key, count, bytes: new Uint8Array(24) }]));

export const torchReaders: readonly FuzzedReader[] = [
  {
    name: 'torch-zip',
    file: 'x.pth',
    inputs: fc.constantFrom(...['zip-float32.pth', 'zip-bfloat16.pth', 'views.pth', 'plain.pth'].map(fixture)),
    read,
  },
  { name: 'torch-legacy', file: 'x.pth', inputs: fc.oneof(fc.constant(fixture('legacy.pth')), programs), read },
  {
    name: 'meta-checkpoint',
    file: 'x.pth.tar',
    inputs: fc.constant(fixture('meta.pth.tar')),
    async read(path) {
      await metaCheckpoint(path, await readTorchFile(path), 2);
    },
  },
];
