import { readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { writeAtomically } from '../../core/base/atomic.js';
import { UserError } from '../../core/base/errors.js';
import { readSafetensors, type StoredTensor, writeSafetensors } from '../../core/checkpoint/safetensors.js';
import { temporaryFolder } from '../helpers/command.js';

const TENSORS = new Map<string, StoredTensor>([
  ['a', { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }],
  ['scalar', { shape: [], data: Float32Array.of(7) }],
  ['empty', { shape: [0, 4], data: new Float32Array(0) }],
  ['whole numbers', { shape: [2], data: BigInt64Array.of(-1n, 2n ** 60n) }],
  ['名', { shape: [3], data: Uint8Array.of(1, 2, 3) }],
]);

test('what was written is read again, to the bit', async (t) => {
  const path = join(await temporaryFolder(t), 'x.safetensors');
  await writeSafetensors(path, TENSORS, { note: 'ü', step: '3' });
  const { metadata, tensors } = await readSafetensors(path);
  t.is(metadata.note, 'ü');
  t.deepEqual([...tensors.keys()], [...TENSORS.keys()]);
  for (const [name, { shape, data }] of TENSORS) {
    t.deepEqual(tensors.get(name)?.shape, shape, name);
    t.deepEqual(tensors.get(name)?.data, data, name);
  }
});

test('a file that was cut at any length is refused', async (t) => {
  const path = join(await temporaryFolder(t), 'x.safetensors');
  await writeSafetensors(path, TENSORS, {});
  const { length } = await readFile(path);
  for (let size = length - 1; size >= 0; size--) {
    await truncate(path, size);
    await t.throwsAsync(
      () => readSafetensors(path),
      { instanceOf: UserError, message: /damaged or not a safetensors file/ },
      `cut to ${size}`,
    );
  }
});

test('a bit that flipped anywhere in the tensors is found', async (t) => {
  const path = join(await temporaryFolder(t), 'x.safetensors');
  await writeSafetensors(path, TENSORS, {});
  const whole = await readFile(path);
  const start = 8 + Number(whole.readBigUInt64LE());
  for (let bit = start * 8; bit < whole.length * 8; bit++) {
    const flipped = Buffer.from(whole);
    flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    await writeFile(path, flipped);
    await t.throwsAsync(() => readSafetensors(path), { instanceOf: UserError, message: /checksum/ }, `bit ${bit}`);
  }
});

test('no bytes and no header make the reader do anything but refuse', async (t) => {
  const path = join(await temporaryFolder(t), 'x.safetensors');
  const wrap = (header: string) => {
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(Buffer.byteLength(header)));
    return Buffer.concat([length, Buffer.from(header), Buffer.alloc(16)]);
  };
  const entry = fc.record({
    dtype: fc.constantFrom('F32', 'F64', 'BF16', 'U8', ''),
    shape: fc.array(fc.oneof(fc.integer({ min: -3, max: 9 }), fc.double()), { maxLength: 4 }),
    data_offsets: fc.array(fc.oneof(fc.integer({ min: -8, max: 40 }), fc.maxSafeInteger()), { maxLength: 3 }),
  });
  const header = fc.oneof(
    fc.dictionary(fc.string(), entry).map((value) => JSON.stringify(value)),
    fc.json(),
    fc.string(),
  );
  const bytes = fc.oneof(fc.uint8Array({ maxLength: 64 }), header.map(wrap));
  await fc.assert(
    fc.asyncProperty(bytes, async (content) => {
      await writeFile(path, content);
      try {
        await readSafetensors(path);
      } catch (error) {
        return error instanceof UserError;
      }
      return true; // a header may happen to be right
    }),
    { numRuns: 800 },
  );
  t.pass();
});

test('a write that fails leaves the file from before and nothing else', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'x');
  await writeFile(path, 'before');
  await t.throwsAsync(
    () =>
      writeAtomically(path, async (file) => {
        await file.writeFile('half');
        throw new Error('stopped');
      }),
    { message: 'stopped' },
  );
  t.is(await readFile(path, 'utf8'), 'before');
  t.deepEqual(await readdir(folder), ['x']);
});
