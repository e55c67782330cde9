import test from 'ava';
import fc from 'fast-check';
import { fromBfloat16, fromFloat16, toFloat16 } from '../../core/base/half.js';

test('numbers of half precision are widened as IEEE says', (t) => {
  // numpy: np.array([...], np.uint16).view(np.float16).astype(np.float32)
  const bits = [0x0000, 0x8000, 0x3c00, 0xc000, 0x3555, 0x7bff, 0x0001, 0x03ff, 0x0400, 0x7c00, 0xfc00, 0x7e00];
  const numbers = [
    0,
    -0,
    1,
    -2,
    0.333251953125,
    65504,
    2 ** -24,
    1023 * 2 ** -24,
    2 ** -14,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    Number.NaN,
  ];
  t.deepEqual([...fromFloat16(Uint16Array.from(bits))], numbers);
});

test('every number of half precision keeps its bits', (t) => {
  const isNumber = (bits: number) => !Number.isNaN(fromFloat16(Uint16Array.of(bits))[0]);
  const all = Uint16Array.from({ length: 2 ** 16 }, (_, bits) => bits).filter(isNumber);
  t.deepEqual(toFloat16(fromFloat16(all)), all);
  t.deepEqual([...toFloat16(Float32Array.of(Number.NaN))], [0x7e00]);
});

test('between two numbers of half precision the nearest is taken, in the middle the even one', (t) => {
  const largest = 0x7bff; // 65504
  fc.assert(
    fc.property(fc.integer({ min: 0, max: largest - 1 }), fc.integer({ min: 0, max: 64 }), (bits, part) => {
      const [below, above] = fromFloat16(Uint16Array.of(bits, bits + 1));
      const isAbove = part === 32 ? bits % 2 === 1 : part > 32;
      const [rounded] = toFloat16(Float32Array.of(below + ((above - below) * part) / 64));
      return rounded === (isAbove ? bits + 1 : bits);
    }),
    { numRuns: 2000 },
  );
  t.deepEqual([...toFloat16(Float32Array.of(65519, 65520, -1e30))], [largest, 0x7c00, 0xfc00]);
});

test('numbers of bfloat16 are the upper half of single precision', (t) => {
  const numbers = [0, -0, 1, -2, 3.140625, 1e30, Number.POSITIVE_INFINITY];
  const bits = new Uint16Array(Float32Array.from(numbers).buffer).filter((_, at) => at % 2 === 1);
  const widened = fromBfloat16(bits);
  t.deepEqual([...widened.slice(0, 5)], numbers.slice(0, 5));
  t.true(Math.abs(widened[5] / 1e30 - 1) < 2 ** -7);
  t.is(widened[6], Number.POSITIVE_INFINITY);
  t.true(Number.isNaN(fromBfloat16(Uint16Array.of(0x7fc0))[0]));
});
