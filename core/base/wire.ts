import { fromBfloat16, toBfloat16 } from './half.js';

/** What numbers can travel as between machines. */
export const WIRES = ['float32', 'bfloat16'] as const;
export type Wire = (typeof WIRES)[number];

/** How numbers travel; in float32 in the memory that they have. */
export const WIRE_FORMATS: Readonly<
  Record<Wire, { bytes: number; encode(numbers: Float32Array): Uint8Array; decode(bytes: Uint8Array): Float32Array }>
> = {
  float32: {
    bytes: 4,
    encode: ({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength),
    decode: ({ buffer, byteOffset, byteLength }) => new Float32Array(buffer, byteOffset, byteLength / 4),
  },
  bfloat16: {
    bytes: 2,
    encode: (numbers) => new Uint8Array(toBfloat16(numbers).buffer),
    decode: ({ buffer, byteOffset, byteLength }) => fromBfloat16(new Uint16Array(buffer, byteOffset, byteLength / 2)),
  },
};
