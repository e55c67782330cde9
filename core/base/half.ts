/*
 * Numbers of 16 bits, little-endian, as those of 32 bits, which hold them exactly.
 */

/** IEEE 754 half precision: 1 bit of sign, 5 of exponent, 10 of fraction. */
export function widenFloat16(bytes: ArrayBuffer): Float32Array {
  const halves = new Uint16Array(bytes);
  const bits = new Uint32Array(halves.length);
  const values = new Float32Array(bits.buffer);
  for (const [at, half] of halves.entries()) {
    const sign = half & 0x8000;
    const exponent = (half >> 10) & 0x1f;
    const fraction = half & 0x3ff;
    if (exponent === 0)
      values[at] = (sign ? -fraction : fraction) * 2 ** -24; // zeros and subnormal numbers
    else bits[at] = (sign << 16) | ((exponent === 31 ? 255 : exponent + 112) << 23) | (fraction << 13);
  }
  return values;
}

/** The upper half of a float32. */
export function widenBfloat16(bytes: ArrayBuffer): Float32Array {
  return new Float32Array(Uint32Array.from(new Uint16Array(bytes), (half) => half << 16).buffer);
}
