import { fromBfloat16, toBfloat16 } from './half.js';

/** What numbers can travel as between machines. */
export const WIRES = ['float32', 'bfloat16'] as const;
export type Wire = (typeof WIRES)[number];

/** Gives memory of so many bytes, which begins at a multiple of 8. */
export type TakeMemory = (bytes: number) => Uint8Array;

/** How numbers travel: in float32 in the memory that they have, in other forms in memory that is taken. */
export interface WireFormat {
  /** Of a number. */
  bytes: number;
  encode(numbers: Float32Array, take: TakeMemory): Uint8Array;
  decode(bytes: Uint8Array, take: TakeMemory): Float32Array;
}

export const WIRE_FORMATS: Readonly<Record<Wire, WireFormat>> = {
  float32: {
    bytes: 4,
    encode: ({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength),
    decode: ({ buffer, byteOffset, byteLength }) => new Float32Array(buffer, byteOffset, byteLength / 4),
  },
  bfloat16: {
    bytes: 2,
    encode(numbers, take) {
      const bytes = take(2 * numbers.length);
      toBfloat16(numbers, new Uint16Array(bytes.buffer, bytes.byteOffset, numbers.length));
      return bytes;
    },
    decode({ buffer, byteOffset, byteLength }, take) {
      const wide = take(2 * byteLength);
      const bits = new Uint16Array(buffer, byteOffset, byteLength / 2);
      return fromBfloat16(bits, new Int32Array(wide.buffer, wide.byteOffset, bits.length));
    },
  },
};
