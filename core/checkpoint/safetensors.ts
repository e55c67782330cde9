import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { z } from 'zod';
import { KIND_BYTES, textKind } from '../base/content-kind.js';
import { readInto, withRegularFile } from '../base/files.js';
import { fromBfloat16, fromFloat16 } from '../base/half.js';
import { listOf } from '../base/list-of.js';
import {
  ARRAYS,
  BEFORE_CHECKSUM,
  BLANK,
  CHECKSUM,
  DamagedFile,
  type ElementType,
  numbersIn,
  type StoredTensor,
} from './safetensors-writing.js';

export {
  DamagedFile,
  headerOf,
  type StoredTensor,
  type WrittenTensor,
  writeSafetensors,
} from './safetensors-writing.js';

export interface TensorFile {
  metadata: Readonly<Record<string, string>>;
  tensors: Map<string, StoredTensor>;
  /** Whether the file has a checksum, which was right. */
  hasChecksum: boolean;
}

/** The format's own limit. */
const LARGEST_HEADER = 100_000_000;

const size = z.int().min(0);
const entrySchema = z.object({
  dtype: z.enum(Object.keys(ARRAYS) as [ElementType, ...ElementType[]]),
  shape: listOf(size),
  data_offsets: z.tuple([size, size]),
});
const metadataSchema = z.custom<Record<string, string>>(
  (value) =>
    value instanceof Object && !Array.isArray(value) && Object.values(value).every((x) => typeof x === 'string'),
);

/** Whether a tensor is wanted, by its name and what the file says of itself. */
export type Wanted = (name: string, metadata: TensorFile['metadata']) => boolean;

/**
 * Reads a file of tensors, checking everything that its header claims.
 * @param wanted which tensors are kept; the others are read for the checksum only, where there is one
 * @throws UserError if the file is missing, cut short, or not what its header or checksum says
 */
export async function readSafetensors(path: string, wanted: Wanted = () => true): Promise<TensorFile> {
  return withRegularFile(path, async (file, { size: fileSize }) => {
    const lengthBytes = await readExactly(path, file, 0, 8);
    const length = Number(new DataView(lengthBytes).getBigUint64(0, true));
    if (length > LARGEST_HEADER || length + 8 > fileSize) {
      const kind = textKind(new Uint8Array(await readExactly(path, file, 0, Math.min(fileSize, KIND_BYTES))));
      if (kind !== null) throw corrupt(path, `its content is ${kind}`);
      throw corrupt(path, `its header is said to be ${length} bytes long, the file is ${fileSize}`);
    }
    const head = await readExactly(path, file, 8, length);
    const { metadata, entries } = parseHeader(path, head);
    const tensors = new Map<string, StoredTensor>();
    const expected = metadata[CHECKSUM];
    const hash = expected === undefined ? null : createHash('sha256');
    BLANK.copy(Buffer.from(head), BEFORE_CHECKSUM.length); // the header was read; it is hashed without its checksum
    hash?.update(new Uint8Array(lengthBytes)).update(new Uint8Array(head));
    let expectedStart = 0;
    for (const [name, { dtype, shape, data_offsets }] of entries) {
      const [start, end] = data_offsets;
      const ArrayType = ARRAYS[dtype];
      const count = numbersIn(shape);
      if (start !== expectedStart || end - start !== count * ArrayType.BYTES_PER_ELEMENT) {
        throw corrupt(path, `the tensor '${name}' of shape [${shape}] is said to lie at bytes ${start} to ${end}`);
      }
      if (8 + length + end > fileSize) {
        throw corrupt(path, `it ends at byte ${fileSize}, the tensor '${name}' would end at ${8 + length + end}`);
      }
      expectedStart = end;
      const isWanted = wanted(name, metadata);
      if (!isWanted && !hash) continue;
      const bytes = await readExactly(path, file, 8 + length + start, end - start);
      hash?.update(new Uint8Array(bytes));
      if (isWanted) tensors.set(name, { shape, data: numbersOf(dtype, new ArrayType(bytes, 0, count)) });
    }
    if (8 + length + expectedStart !== fileSize) throw corrupt(path, 'there are bytes that belong to no tensor');
    if (hash && hash.digest('hex') !== expected) throw corrupt(path, 'its bytes do not match their checksum');
    return { metadata, tensors, hasChecksum: hash !== null };
  });
}

/** Metadata and entries in the order of their bytes. */
function parseHeader(path: string, bytes: ArrayBuffer) {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw corrupt(path, 'its header is not JSON');
  }
  const header = z.record(z.string(), z.unknown()).safeParse(json);
  if (!header.success) throw corrupt(path, 'its header is not an object');
  const { __metadata__ = {}, ...rest } = header.data;
  const metadata = metadataSchema.safeParse(__metadata__);
  if (!metadata.success) throw corrupt(path, 'its metadata is not text by name');
  const entries = Object.entries(rest).map(([name, value]) => {
    const entry = entrySchema.safeParse(value);
    if (!entry.success) throw corrupt(path, `its header describes the tensor '${name}' in a way that cannot be read`);
    return [name, entry.data] as const;
  });
  entries.sort(([, a], [, b]) => a.data_offsets[0] - b.data_offsets[0] || a.data_offsets[1] - b.data_offsets[1]);
  return { metadata: metadata.data, entries };
}

async function readExactly(path: string, file: FileHandle, position: number, count: number): Promise<ArrayBuffer> {
  const bytes = new Uint8Array(count);
  const read = await readInto(file, bytes, position);
  if (read < count) throw corrupt(path, `it ends after ${position + read} bytes`);
  return bytes.buffer;
}

function corrupt(path: string, reason: string): DamagedFile {
  return new DamagedFile(`${path} is damaged or not a safetensors file: ${reason}`, {
    expected: 'a whole file in the safetensors format',
    remedy: 'use another checkpoint of the run, or a fresh copy of this one',
  });
}

/** What a file's numbers are in memory: those of 16 bits are widened. */
function numbersOf(type: ElementType, stored: StoredTensor['data'] | Uint16Array): StoredTensor['data'] {
  if (!(stored instanceof Uint16Array)) return stored;
  return type === 'F16' ? fromFloat16(stored) : fromBfloat16(stored);
}
