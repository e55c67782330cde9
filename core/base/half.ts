/* Numbers of 16 bits. Node 20 has no array of them. */

/** Numbers in IEEE's half precision as single precision, which holds all of them. */
export function fromFloat16(bits: Uint16Array): Float32Array {
  table ??= Float32Array.from({ length: 65536 }, (_, value) => float16(value));
  const numbers = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) numbers[i] = table[bits[i]];
  return numbers;
}

/** Numbers in single precision as IEEE's half precision, each the nearest, of two as near the even one. */
export function toFloat16(numbers: Float32Array): Uint16Array {
  const wide = new Uint32Array(numbers.buffer, numbers.byteOffset, numbers.length);
  const bits = new Uint16Array(numbers.length);
  for (let i = 0; i < bits.length; i++) {
    bits[i] = ((wide[i] >>> 16) & 0x8000) | halfOf(wide[i] & 0x7fffffff, Math.abs(numbers[i]));
  }
  return bits;
}

/** Numbers in bfloat16, the upper half of single precision. @param wide the memory of the result */
export function fromBfloat16(bits: Uint16Array, wide: Int32Array = new Int32Array(bits.length)): Float32Array {
  for (let i = 0; i < bits.length; i++) wide[i] = bits[i] << 16;
  return new Float32Array(wide.buffer, wide.byteOffset, bits.length);
}

/**
 * Numbers in single precision as bfloat16, each the nearest, of two as near the even one.
 * @param bits where they go
 */
export function toBfloat16(numbers: Float32Array, bits: Uint16Array = new Uint16Array(numbers.length)): Uint16Array {
  const wide = new Int32Array(numbers.buffer, numbers.byteOffset, numbers.length);
  for (let i = 0; i < bits.length; i++) {
    const value = wide[i];
    const isNumber = (value & 0x7fffffff) <= INFINITE;
    bits[i] = isNumber ? ((value + 0x7fff + ((value >>> 16) & 1)) | 0) >>> 16 : 0x7fc0;
  }
  return bits;
}

let table: Float32Array | undefined;

function float16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** In single precision: 2^16, above all numbers of half precision; 2^-14, its smallest normal number; infinity. */
const BEYOND = 0x47800000;
const NORMAL = 0x38800000;
const INFINITE = 0x7f800000;

/** Half precision of a number that is not negative, given as its bits in single precision and as a number. */
function halfOf(bits: number, number: number): number {
  if (bits > INFINITE) return 0x7e00; // not a number
  if (bits >= BEYOND) return 0x7c00;
  if (bits < NORMAL) return number * 2 ** 24 + 2 ** 52 - 2 ** 52; // how many times 2^-24; the sum rounds it
  const rounded = bits + 0xfff + ((bits >>> 13) & 1);
  return (rounded - ((127 - 15) << 23)) >>> 13;
}
