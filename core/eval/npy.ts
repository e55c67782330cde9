import { writeAtomically } from '../base/atomic.js';

/** NumPy's names of the element types, little-endian. */
const TYPES = { float32: '<f4', int32: '<i4' } as const;

/** Header and data start at multiples of this. */
const ALIGNMENT = 64;

/**
 * Writes an array as a .npy file of version 1.0, whole or not at all: a magic string, the version, the header's length
 * and the header, a Python dictionary filled up with spaces, then the values row by row.
 */
export async function writeNpy(path: string, shape: readonly number[], data: Float32Array | Int32Array): Promise<void> {
  const count = shape.reduce((product, side) => product * side, 1);
  if (count !== data.length) throw new Error(`an array of shape [${shape}] cannot have ${data.length} values`);
  const type = data instanceof Float32Array ? TYPES.float32 : TYPES.int32;
  const sides = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const dictionary = `{'descr': '${type}', 'fortran_order': False, 'shape': (${sides}), }`;
  const before = 10;
  const length = Math.ceil((before + dictionary.length + 1) / ALIGNMENT) * ALIGNMENT - before;
  const header = Buffer.alloc(before + length, ' ');
  header.write('\x93NUMPY\x01\x00', 'latin1');
  header.writeUInt16LE(length, 8);
  header.write(dictionary, before, 'latin1');
  header.write('\n', before + length - 1, 'latin1');
  await writeAtomically(path, async (file) => {
    await file.appendFile(header);
    await file.appendFile(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  });
}
