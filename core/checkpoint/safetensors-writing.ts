import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { type GiveName, writeAtomically } from '../base/atomic.js';
import { UserError } from '../base/errors.js';

/*
 * The safetensors format: 8 bytes with the length of a JSON header (little-endian), the header, then the tensors' bytes
 * one after the other, little-endian.
 *
 * What writes such files stands apart from what reads them, which loads more: each run starts a thread that writes.
 */

/** The element types that this program reads, with the array that holds their bytes. */
export const ARRAYS = {
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  F64: Float64Array,
  I32: Int32Array,
  I64: BigInt64Array,
  U8: Uint8Array,
} as const;
export type ElementType = keyof typeof ARRAYS;

export interface StoredTensor {
  shape: readonly number[];
  data: Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array;
}

/** A tensor as it is written; an array of 16 bits holds numbers in half precision. */
export type WrittenTensor = StoredTensor | { shape: readonly number[]; data: Uint16Array };

/** Of a file whose bytes are not those that were written, or not in the safetensors format. */
export class DamagedFile extends UserError {}

/**
 * Metadata key of the SHA-256 of the whole file, taken with zeros in the place of the checksum. It is the first entry of
 * the metadata, so that its place is always the same.
 */
export const CHECKSUM = 'sha256_file';
/** Of the header's length, at the beginning of the file. */
const LENGTH_BYTES = 8;
export const BLANK = Buffer.alloc(64, '0');
export const BEFORE_CHECKSUM = Buffer.from(`{"__metadata__":{"${CHECKSUM}":"`);

/**
 * Writes tensors and metadata whole or not at all, with a checksum over everything.
 * @param place gives the finished file its name, where that is more than a renaming
 */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, WrittenTensor>,
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

export function numbersIn(shape: readonly number[]): number {
  return shape.reduce((product, side) => product * side, 1);
}

function elementType(data: WrittenTensor['data']): ElementType {
  const found = Object.entries(ARRAYS).find(([, ArrayType]) => data instanceof ArrayType); // F16 comes before BF16
  if (!found) throw new Error('this array type cannot be stored');
  return found[0] as ElementType;
}

function bytesOf(data: WrittenTensor['data']): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
