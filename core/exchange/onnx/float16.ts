/** The largest number of float16 is 65504; what would be rounded to 65536 becomes infinite. */
const BEYOND = 0x47800000;
/** The smallest normal number, 2^-14, as the bits of a float32. */
const NORMAL = 0x38800000;
const INFINITE = 0x7f800000;

/** Numbers as the bits of float16 (IEEE 754 binary16), rounded to the nearest, ties to even. */
export function toFloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(values.length);
  for (let at = 0; at < values.length; at++) {
    const sign = (bits[at] >>> 16) & 0x8000;
    halves[at] = sign | magnitude(bits[at] & 0x7fffffff, Math.abs(values[at]));
  }
  return halves;
}

/** The bits of a number that is not negative, which is given as the bits of a float32 and as a number. */
function magnitude(bits: number, value: number): number {
  if (bits > INFINITE) return 0x7e00; // not a number
  if (bits >= BEYOND) return 0x7c00;
  if (bits < NORMAL) return value * 2 ** 24 + 2 ** 52 - 2 ** 52; // a whole number of 2^-24, which the sum rounds to
  const rounded = bits + 0xfff + ((bits >>> 13) & 1);
  return (rounded - ((127 - 15) << 23)) >>> 13;
}
