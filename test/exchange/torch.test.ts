import { constants } from 'node:buffer';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { UserError } from '../../core/base/errors.js';
import { readTorchFile } from '../../core/exchange/torch/read.js';
import { isTensor, type TorchTensor, type TorchTree, tensorOf } from '../../core/exchange/torch/tree.js';
import { writeTorchFile } from '../../core/exchange/torch/write.js';
import { temporaryFolder } from '../helpers/command.js';
import { FIXTURES } from '../helpers/paths.js';
import { legacyFile, loaded, type MadeStorage, pickledTensor, pickledText } from '../helpers/torch.js';

const saved = (name: string) => join(FIXTURES, 'torch', name);
const SAME_TREE = [
  'zip-float32.pth',
  'zip-float16.pth',
  'zip-bfloat16.pth',
  'legacy.pth',
  'plain.pth',
  'protocol-4.pth',
  'legacy-protocol-4.pth',
];

/** Six floats, as tensors of `pickledTensor` have them. */
const SIX: MadeStorage = { key: '0', count: 6, bytes: new Uint8Array(24) };

async function readWhole(path: string): Promise<unknown> {
  return loaded(await readTorchFile(path));
}

async function place(t: ExecutionContext, content: Uint8Array | string): Promise<string> {
  const path = join(await temporaryFolder(t), 'x.pth');
  await writeFile(path, content);
  return path;
}

/** Holds that a file is refused in one message, and nothing else happens. */
async function isRefused(t: ExecutionContext, path: string, message: RegExp, what?: string): Promise<void> {
  await t.throwsAsync(() => readWhole(path), { instanceOf: UserError, message }, what);
}

/** What golden.json says of a value, with numbers for the text that they are written as. */
function expected(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(expected);
  if (!(value instanceof Object)) return value;
  const entries = Object.entries(value).map(([key, each]) => {
    const numbers = key === 'values' && each.map((text: string) => (text === 'inf' ? Infinity : Number(text)));
    return [key, numbers || expected(each)];
  });
  return Object.fromEntries(entries);
}

function tensorAt(tree: TorchTree, name: string): TorchTensor {
  const found = tree instanceof Map ? tree.get(name) : undefined;
  if (!isTensor(found)) throw new Error(`there is no tensor ${name}`);
  return found;
}

/** A tensor of this program's own. */
function made(...values: number[]): TorchTensor {
  return tensorOf([values.length], Float32Array.from(values));
}

for (const name of SAME_TREE) {
  test(`${name} is read as PyTorch reads it, and is the same when it was written`, async (t) => {
    const golden = JSON.parse(await readFile(saved('golden.json'), 'utf8'));
    const tree = await readTorchFile(saved(name));
    t.deepEqual(await loaded(tree), expected(golden[name]));
    const folder = await temporaryFolder(t);
    const [first, second] = [join(folder, 'first.pth'), join(folder, 'second.pth')];
    await writeTorchFile(first, tree);
    t.deepEqual(await readWhole(first), expected(golden[name]));
    await writeTorchFile(second, await readTorchFile(first));
    t.true((await readFile(second)).equals(await readFile(first)), 'the same bytes');
  });
}

test('tensors that share a storage are read where their values lie one after the other', async (t) => {
  const golden = JSON.parse(await readFile(saved('golden.json'), 'utf8'));
  const entries = new Map<string, unknown>(golden['views.pth'].entries);
  const tree = await readTorchFile(saved('views.pth'));
  for (const name of ['whole', 'rows', 'row']) {
    t.deepEqual(await loaded(tensorAt(tree, name)), expected(entries.get(name)), name);
  }
  await t.throwsAsync(() => tensorAt(tree, 'turned').read(), {
    instanceOf: UserError,
    message: /shape \[4,3\] has strides \[1,4\]: save it as x\.contiguous\(\)/,
  });
});

test('values that are written start at a multiple of 64 bytes', async (t) => {
  const path = join(await temporaryFolder(t), 'x.pth');
  const [a, b] = [made(1.5, 2.5), made(3.5)];
  await writeTorchFile(path, new Map([['a', [a, b]]]));
  const content = await readFile(path);
  for (const tensor of [a, b]) {
    const at = content.indexOf(new Uint8Array((await tensor.read()).buffer));
    t.true(at > 0 && at % 64 === 0, `${at}`);
  }
});

test('where a tensor cannot be read nothing is written', async (t) => {
  const path = await place(t, 'before');
  const broken = { ...made(1), read: () => Promise.reject(new UserError('broken')) };
  await t.throwsAsync(() => writeTorchFile(path, [made(1), broken]), { message: 'broken' });
  t.is(await readFile(path, 'utf8'), 'before');
});

for (const name of ['zip-float32.pth', 'legacy.pth', 'meta.pth.tar']) {
  test(`${name} is refused when it was cut at any place`, async (t) => {
    const whole = await readFile(saved(name));
    const path = await place(t, whole);
    const lengths = Array.from({ length: 34 }, (_, at) => Math.floor((whole.length * (99 - 3 * at)) / 100));
    for (const length of [whole.length - 1, ...lengths, 1, 0]) {
      await truncate(path, length);
      await isRefused(t, path, /cannot be read as a file of PyTorch: /, `cut to ${length}`);
    }
  });
}

test('a bit that flipped in the values of a zip archive is found', async (t) => {
  const path = join(await temporaryFolder(t), 'x.pth');
  const tensor = made(1.25, 2.25);
  await writeTorchFile(path, [tensor]);
  const whole = await readFile(path);
  const at = whole.indexOf(new Uint8Array((await tensor.read()).buffer));
  for (let bit = 8 * at; bit < 8 * (at + 8); bit++) {
    const damaged = Buffer.from(whole);
    damaged.writeUInt8(damaged.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    await writeFile(path, damaged);
    await isRefused(t, path, /do not match their checksum/, `bit ${bit}`);
  }
});

test('a file that changed after it was opened is refused', async (t) => {
  const path = await place(t, await readFile(saved('legacy.pth')));
  const tree = await readTorchFile(path);
  await writeFile(path, await readFile(saved('zip-float32.pth')));
  await t.throwsAsync(() => tensorAt(tree, 'scalar').read(), { instanceOf: UserError, message: /it has changed/ });
});

test('of a large file only what is asked for is read', async (t) => {
  const count = 2 ** 30; // 4 GiB, a hole in the file
  const last = pickledTensor({ count: 'J\0\0\0\x40', offset: 'J\xfc\xff\xff\x3f', shape: 'K\x04', strides: 'K\x01' });
  const path = await place(t, legacyFile(last, [{ key: '0', count, bytes: new Uint8Array(0) }]));
  const { length } = await readFile(path);
  await truncate(path, length + 4 * count);
  const before = process.memoryUsage().arrayBuffers;
  t.deepEqual(await readWhole(path), { shape: [4], type: 'float32', values: [0, 0, 0, 0] });
  t.true(process.memoryUsage().arrayBuffers - before < 2 ** 26);

  const all = pickledTensor({ count: 'J\0\0\0\x40', shape: 'J\0\0\0\x40', strides: 'K\x01' });
  const whole = legacyFile(all, [{ key: '0', count, bytes: new Uint8Array(0) }]);
  await writeFile(path, whole);
  await truncate(path, whole.length + 4 * count);
  if (constants.MAX_LENGTH < 8 * count) await isRefused(t, path, /a tensor of 4294967296 bytes/);
});

const FLAT = { shape: 'K\x06', strides: 'K\x01' };
const HOSTILE: Readonly<Record<string, [content: string, message: RegExp]>> = {
  'code of the system': [`cos\nsystem\n(${pickledText('true')}tR`, /asks for os\.system, which is not read/],
  'a whole model': ['ctorch.nn.modules.linear\nLinear\n)\x81', /asks for torch\.nn\.modules\.linear\.Linear/],
  'what objects inherit': ['c__builtin__\n__proto__\n)R', /asks for __builtin__\.__proto__/],
  'a function in the place of a value': ['ccollections\nOrderedDict\n', /neither a number, text nor a tensor/],
  'attributes of a tensor': [`${pickledTensor(FLAT)}}(${pickledText('shape')}]ub`, /not extensible|read only|Cannot/],
  'a shape that is too large': [pickledTensor({ shape: 'K\x07', strides: 'K\x01' }), /would end at value 7 of 6/],
  'an absurd shape': [
    pickledTensor({ shape: 'J\xff\xff\xff\x7f'.repeat(9), strides: 'J\xff\xff\xff\x7f'.repeat(9) }),
    /would end at value .* of 6/,
  ],
  'a shape below zero': [pickledTensor({ shape: 'J\xff\xff\xff\xff', strides: 'K\x01' }), /a size is -1/],
  'a shape of fractions': [pickledTensor({ shape: 'G\x3f\xf8\0\0\0\0\0\0', strides: 'K\x01' }), /a size is 1.5/],
  'more axes than there are': [pickledTensor({ shape: 'K\x01'.repeat(65), strides: 'K\x01'.repeat(65) }), /65 axes/],
  'an offset beyond the end': [pickledTensor({ ...FLAT, offset: 'K\x01' }), /would end at value 7 of 6/],
  'values that are all the same one': [
    pickledTensor({ shape: 'J\xff\xff\xff\x7f', strides: 'K\x00' }),
    /shape \[2147483647\] has strides \[0\]/,
  ],
  'another number of values': [pickledTensor({ ...FLAT, count: 'K\x07' }), /has 6 values instead of 7/],
  'another type for the same storage': [
    `](${pickledTensor(FLAT)}${pickledTensor({ ...FLAT, storage: 'LongStorage' })}e`,
    /or other types/,
  ],
  'a type that is not known': [
    pickledTensor({ ...FLAT, storage: 'ComplexFloatStorage' }),
    /torch\.ComplexFloatStorage/,
  ],
  'a storage that is not there': [pickledTensor({ ...FLAT, key: '1' }), /its keys are not those/],
  'a tensor without storage': ['ctorch._utils\n_rebuild_tensor_v2\n(NK\x00(t(ttR', /a tensor has no storage/],
  'a number without end': [`\x8a\xff${'\xff'.repeat(255)}`, /a number that is too large/],
  'an instruction that is not needed': ['2', /the instruction 50/],
  'more instructions than a model has': [']'.repeat(2 ** 21), /more than 2097152 instructions/],
  'a list of itself': [']q\x00h\x00a', /its keys are not those/],
  'lists that double thirty times': [`]${'q\x00](h\x00h\x00e'.repeat(30)}`, /its keys are not those/],
  'nothing at all': ['', /neither a number, text nor a tensor/],
};
for (const [what, [content, message]] of Object.entries(HOSTILE)) {
  test(`a file with ${what} is refused`, async (t) => {
    await isRefused(t, await place(t, legacyFile(content, [SIX])), message);
  });
}

/** Replaces bytes by as many others, wherever they are. */
function replaced(content: Buffer, from: string, to: string): Buffer {
  return Buffer.from(content.toString('latin1').replaceAll(from, to), 'latin1');
}

/** An archive that has no checksum of its description and byte order, as PyTorch writes it where it is told to. */
function withoutChecksums(content: Buffer): Buffer {
  const result = Buffer.from(content);
  for (const name of ['archive/data.pkl', 'archive/byteorder']) result.writeUInt32LE(0, result.lastIndexOf(name) - 30);
  return result;
}

test('archives that are not as PyTorch writes them are refused', async (t) => {
  const path = join(await temporaryFolder(t), 'x.pth');
  await writeTorchFile(path, [made(1, 2, 3), made(4, 5, 6)]);
  const whole = await readFile(path);
  const unchecked = withoutChecksums(whole);
  await writeFile(path, unchecked);
  t.deepEqual(await readWhole(path), await Promise.all([made(1, 2, 3), made(4, 5, 6)].map(loaded)));
  /** The last bytes of the directory's entry for the second tensor tell where it starts, those of the first where that does. */
  const [first, second] = ['0', '1'].map((key) => whole.lastIndexOf(`archive/data/${key}`) + 14 + 4 + 16);
  const overlapping = Buffer.from(whole);
  whole.copy(overlapping, second, first, first + 8);
  const outside = Buffer.from(whole);
  outside.writeBigUInt64LE(2n ** 52n, second);
  const farAway = Buffer.from(whole);
  farAway.writeBigUInt64LE(2n ** 61n, whole.length - 22 - 20 + 8);
  const cases: [what: string, content: Buffer, message: RegExp][] = [
    ['overlapping', overlapping, /lies in the bytes of another/],
    ['outside', outside, /it ends after \d+ bytes/],
    ['a directory far away', farAway, /it ends after \d+ bytes/],
    ['missing', replaced(whole, 'archive/data/1', 'archive/data/2'), /it lacks archive\/data\/1/],
    ['twice', replaced(whole, 'archive/data/1', 'archive/data/0'), /archive\/data\/0 twice/],
    ['no description', replaced(whole, 'data.pkl', 'data.pk_'), /0 descriptions/],
    ['big-endian', replaced(unchecked, 'little', 'bigbig'), /big-endian/],
    ['other sizes', replaced(unchecked, 'J\x03\0\0\0tQ', 'J\x02\0\0\0tQ'), /would end at value 3 of 2/],
    ['smaller', replaced(unchecked, 'J\x03\0\0\0t', 'J\x02\0\0\0t'), /has 12 bytes instead of 8/],
    ['a changed description', replaced(whole, 'J\x03', 'J\x02'), /do not match their checksum/],
    ['other code', replaced(unchecked, 'collections\nOrderedDict', 'os\nsystemOrderedDictttt'), /os\.systemOrdered/],
  ];
  for (const [what, content, message] of cases) {
    await writeFile(path, content);
    await isRefused(t, path, message, what);
  }
});

test('what is no file of PyTorch is told by what it is', async (t) => {
  await isRefused(
    t,
    await place(t, 'version https://git-lfs.github.com/spec/v1\n'),
    /its content is a pointer of Git LFS/,
  );
  await isRefused(t, await place(t, '<!doctype html>'), /its content is HTML/);
  await isRefused(t, await place(t, 'x'), /it does not begin as one/);
  await isRefused(t, join(await temporaryFolder(t), 'none.pth'), /does not exist/);
});
