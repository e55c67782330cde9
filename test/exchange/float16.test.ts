import test from 'ava';
import fc from 'fast-check';
import { toFloat16 } from '../../core/exchange/onnx/float16.js';

test('every number of float16 keeps its bits', (t) => {
  const all = Uint16Array.from({ length: 2 ** 16 }, (_, bits) => bits).filter(
    (bits) => !Number.isNaN(fromFloat16(bits)),
  );
  t.deepEqual(toFloat16(Float32Array.from(all, fromFloat16)), all);
  t.true(Number.isNaN(fromFloat16(toFloat16(Float32Array.of(Number.NaN))[0] as number)));
});

test('numbers between two of float16 become the nearest, in the middle the even one', (t) => {
  const largest = 0x7bff; // 65504
  fc.assert(
    fc.property(fc.integer({ min: 0, max: largest - 1 }), fc.integer({ min: 0, max: 64 }), (bits, part) => {
      const [below, above] = [fromFloat16(bits), fromFloat16(bits + 1)];
      const isAbove = part === 32 ? bits % 2 === 1 : part > 32;
      const [rounded] = toFloat16(Float32Array.of(below + ((above - below) * part) / 64));
      return rounded === (isAbove ? bits + 1 : bits);
    }),
    { numRuns: 2000 },
  );
  t.deepEqual([...toFloat16(Float32Array.of(65519, 65520, -1e30))], [largest, 0x7c00, 0xfc00]);
});

/** The number that bits stand for (IEEE 754 binary16). */
function fromFloat16(bits: number): number {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const sign = bits >> 15 === 0 ? 1 : -1;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}
