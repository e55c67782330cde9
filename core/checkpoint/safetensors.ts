import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { z } from 'zod';
import { type GiveName, writeAtomically } from '../base/atomic.js';
import { KIND_BYTES, textKind } from '../base/content-kind.js';
import { UserError } from '../base/errors.js';
import { readInto, withRegularFile } from '../base/files.js';
import { fromBfloat16, fromFloat16 } from '../base/half.js';
import { listOf } from '../base/list-of.js';

/*
 * The safetensors format: 8 bytes with the length of a JSON header (little-endian), the header, then the tensors' bytes
 * one after the other, little-endian.
 */

/** The element types that this program reads, with the array that holds their bytes. */
const ARRAYS = {
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  F64: Float64Array,
  I32: Int32Array,
  I64: BigInt64Array,
  U8: Uint8Array,
} as const;
type ElementType = keyof typeof ARRAYS;

export interface StoredTensor {
  shape: readonly number[];
  data: Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array;
}

export interface TensorFile {
  metadata: Readonly<Record<string, string>>;
  tensors: Map<string, StoredTensor>;
  /** Whether the file has a checksum, which was right. */
  hasChecksum: boolean;
}

/** Of a file whose bytes are not those that were written, or not in the safetensors format. */
export class DamagedFile extends UserError {}

/**
 * Metadata key of the SHA-256 of the whole file, taken with zeros in the place of the checksum. It is the first entry of
 * the metadata, so that its place is always the same.
 */
const CHECKSUM = 'sha256_file';
/** Of the header's length, at the beginning of the file. */
const LENGTH_BYTES = 8;
const BLANK = Buffer.alloc(64, '0');
const BEFORE_CHECKSUM = Buffer.from(`{"__metadata__":{"${CHECKSUM}":"`);
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

/**
 * Writes tensors and metadata whole or not at all, with a checksum over everything.
 * @param place gives the finished file its name, where that is more than a renaming
 */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, StoredTensor>,
  metadata: Readonly<Record<string, string>>,
  place?: GiveName,
): Promise<void> {
  const { [CHECKSUM]: _, ...own } = metadata; // of a file that these may have been read from
  const described = [...tensors].map(([name, { shape, data }]) => ({ name, shape, type: elementType(data) }));
  const head = headerOf(described, { [CHECKSUM]: String(BLANK), ...own });
  const hash = createHash('sha256').update(head);
  for (const { data } of tensors.values()) hash.update(bytesOf(data));
  head.write(hash.digest('hex'), LENGTH_BYTES + BEFORE_CHECKSUM.length);
  const write = async (file: FileHandle) => {
    await file.appendFile(head);
    for (const { data } of tensors.values()) await file.appendFile(bytesOf(data));
  };
  await writeAtomically(path, write, place);
}

/**
 * The beginning of a file: how long its header is, and the header, filled up with spaces.
 * @param tensors in the order of their bytes
 * @param bytes how many it has at least
 */
export function headerOf(
  tensors: readonly { name: string; shape: readonly number[]; type: ElementType }[],
  metadata: Readonly<Record<string, string>>,
  bytes = 0,
): Buffer {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const { name, shape, type } of tensors) {
    const end = offset + numbersIn(shape) * ARRAYS[type].BYTES_PER_ELEMENT;
    header[name] = { dtype: type, shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Math.max(bytes - LENGTH_BYTES, json.length + ((8 - (json.length % 8)) % 8)); // tensors start at a multiple of 8
  const head = Buffer.alloc(LENGTH_BYTES + length, ' ');
  head.writeBigUInt64LE(BigInt(length));
  json.copy(head, LENGTH_BYTES);
  return head;
}

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

function numbersIn(shape: readonly number[]): number {
  return shape.reduce((product, side) => product * side, 1);
}

function elementType(data: StoredTensor['data']): ElementType {
  const found = Object.entries(ARRAYS).find(([, ArrayType]) => data instanceof ArrayType);
  if (!found) throw new Error('this array type cannot be stored');
  return found[0] as ElementType;
}

function bytesOf(data: StoredTensor['data']): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
