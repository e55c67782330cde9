import fc from 'fast-check';

/** Larger inputs are cut to this, in bytes. */
const LARGEST = 1 << 17;

/** Numbers at which programs err. */
export const EDGES = [
  0,
  1,
  0x7f,
  0xff,
  0x7fff,
  0xffff,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 40,
  2 ** 53 - 1,
  2 ** 53,
];

/** A change of bytes. Places are taken modulo the length. */
type Change = (bytes: Uint8Array) => Uint8Array;

const place = fc.nat({ max: LARGEST });
const length = fc.oneof({ weight: 3, arbitrary: fc.nat({ max: 16 }) }, { weight: 1, arbitrary: fc.nat({ max: 4096 }) });

/** Changes that know nothing of any format. */
const change: fc.Arbitrary<Change> = fc.oneof(
  fc
    .tuple(place, fc.nat({ max: 7 }))
    .map(([at, bit]): Change => edit(at, 1, (part) => [(part[0] as number) ^ (1 << bit)])),
  fc.tuple(place, fc.nat({ max: 255 })).map(([at, value]): Change => edit(at, 1, () => [value])),
  fc
    .tuple(place, fc.constantFrom(1, 2, 4, 8), fc.constantFrom(...EDGES), fc.boolean())
    .map(([at, width, value, little]): Change => edit(at, width, () => integerBytes(value, width, little))),
  place.map(
    (end): Change =>
      (bytes) =>
        bytes.subarray(0, end % (bytes.length + 1)),
  ),
  fc.tuple(place, length).map(([at, count]): Change => edit(at, count, () => [])),
  fc.tuple(place, fc.uint8Array({ minLength: 1, maxLength: 16 })).map(([at, more]): Change => edit(at, 0, () => more)),
  fc.tuple(place, length).map(([at, count]): Change => edit(at, count, (part) => [...part, ...part])),
  fc
    .tuple(place, length, fc.nat({ max: 4096 }))
    .map(
      ([at, count, times]): Change =>
        edit(at, count % 64, (part) => Buffer.concat(Array<Uint8Array>(part.length === 0 ? 0 : times).fill(part))),
    ),
  fc.tuple(place, place, length).map(
    ([from, to, count]): Change =>
      (bytes) => {
        const start = from % (bytes.length + 1);
        return edit(to, count, () => bytes.subarray(start, start + count))(bytes);
      },
  ),
);

/** Inputs as they are, changed in up to four places, or of bytes that mean nothing. */
export function changedBytes(inputs: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const changed = fc
    .tuple(inputs, fc.array(change, { minLength: 1, maxLength: 4 }))
    .map(([bytes, changes]) => changes.reduce((before, apply) => apply(before).subarray(0, LARGEST), bytes));
  return fc.oneof(
    { weight: 9, arbitrary: inputs },
    { weight: 10, arbitrary: changed },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }) },
  );
}

/** A whole number in `width` bytes, as far as it fits. */
export function integerBytes(value: number, width: number, little = true): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  const part = bytes.subarray(0, width);
  return little ? part : part.reverse();
}

/** Puts other bytes in the place of some. */
function edit(at: number, count: number, replace: (part: Uint8Array) => ArrayLike<number>): Change {
  return (bytes) => {
    const start = at % (bytes.length + 1);
    const part = bytes.subarray(start, start + count);
    return Buffer.concat([bytes.subarray(0, start), Uint8Array.from(replace(part)), bytes.subarray(start + count)]);
  };
}
