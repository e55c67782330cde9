import { writeAtomically } from '../base/atomic.js';

/*
 * NumPy's .npy files of version 1.0: a magic string, the version, the header's length and the header, a Python dictionary
 * filled up with spaces, then the values row by row, little-endian.
 */

/** Header and data start at multiples of this. */
const ALIGNMENT = 64;
/** Before the dictionary. */
const START_BYTES = 10;

/** Writes an array whole or not at all. */
export async function writeNpy(path: string, array: { shape: readonly number[]; data: Float32Array | Int32Array }) {
  const { shape, data } = array;
  await writeAtomically(path, async (file) => {
    await file.appendFile(npyHeader(shape, data instanceof Float32Array ? '<f4' : '<i4'));
    await file.appendFile(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  });
}

/**
 * What comes before the values.
 * @param type '<f4': float32; '<i4': int32
 * @param bytes how many it has at least
 */
export function npyHeader(shape: readonly number[], type: '<f4' | '<i4', bytes = 0): Buffer {
  const dictionary = `{'descr': '${type}', 'fortran_order': False, 'shape': (${shape.join(', ')}${shape.length === 1 ? ',' : ''}), }`;
  const all = Math.max(bytes, Math.ceil((START_BYTES + dictionary.length + 1) / ALIGNMENT) * ALIGNMENT);
  const length = all - START_BYTES;
  const header = Buffer.from(`\x93NUMPY\x01\x00..${dictionary.padEnd(length - 1)}\n`, 'latin1');
  header.writeUInt16LE(length, 8);
  return header;
}
