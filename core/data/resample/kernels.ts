import {
  type Code,
  doWhile,
  floats,
  i32,
  type Local,
  sequence,
  Variables,
  v128,
  when,
  whileTrue,
} from '../../wasm/instructions.js';
import type { WasmFunction } from '../../wasm/module.js';

/** Rows that are made at the same time: a vector holds the values of one column in four rows. */
export const ROWS_AT_ONCE = 4;
/** Bytes that are read at the same time. */
export const BYTES_AT_ONCE = 8;

const constant = i32.const;

/**
 * blendRows(source, stride, groups, entries, taps, target): four rows of sums of rows, each over `groups` times 8 bytes.
 * An entry is the i32 number of its first row and the f32 weights of `taps` rows.
 * @returns in `target`, [8 groups, 4] of f32: the four rows of each column side by side
 */
export function blendRows(): WasmFunction {
  const variables = new Variables('source', 'stride', 'groups', 'entries', 'taps', 'target');
  const { source, stride, groups, entries, taps, target } = variables.given;
  const [bytes, weight, left] = [variables.declare('i32'), variables.declare('i32'), variables.declare('i32')];
  const words = variables.declare('v128');
  const factor = variables.declare('v128');
  const sums = Array.from({ length: ROWS_AT_ONCE }, () => ({
    low: variables.declare('v128'),
    high: variables.declare('v128'),
  }));

  const sumRow = ({ low, high }: { low: Local; high: Local }) =>
    sequence(
      low.set(v128.zero),
      high.set(v128.zero),
      bytes.set(i32.add(source.get, i32.mul(i32.load(weight.get), stride.get))),
      weight.add(4),
      left.set(taps.get),
      doWhile(
        sequence(
          words.set(v128.load8x8(bytes.get)),
          factor.set(v128.loadSplat(weight.get)),
          low.set(v128.add(low.get, v128.mul(factor.get, v128.toFloat(v128.widenLow(words.get))))),
          high.set(v128.add(high.get, v128.mul(factor.get, v128.toFloat(v128.widenHigh(words.get))))),
          bytes.set(i32.add(bytes.get, stride.get)),
          weight.add(4),
          left.add(-1),
        ),
        left.get,
      ),
    );
  const storeColumns = (part: 'low' | 'high', offset: number) => {
    const [a, b, c, d] = sums.map((row) => row[part].get) as [Code, Code, Code, Code];
    // Words 0 and 1, or 2 and 3, of two vectors in turn; then the halves of two of these.
    const mix = (x: Code, y: Code, word: 0 | 2) =>
      v128.shuffle(
        x,
        y,
        [word, word + 4, word + 1, word + 5].flatMap((at) => [0, 1, 2, 3].map((byte) => 4 * at + byte)),
      );
    const join = (x: Code, y: Code, half: 0 | 1) =>
      v128.shuffle(
        x,
        y,
        [half, half + 2].flatMap((at) => Array.from({ length: 8 }, (_, byte) => 8 * at + byte)),
      );
    return sequence(
      ...([0, 1, 2, 3] as const).map((column) => {
        const word = column < 2 ? 0 : 2;
        const half = (column & 1) as 0 | 1;
        return v128.store(target.get, join(mix(a, b, word), mix(c, d, word), half), offset + 16 * column);
      }),
    );
  };

  const body = doWhile(
    sequence(
      weight.set(entries.get),
      ...sums.map(sumRow),
      storeColumns('low', 0),
      storeColumns('high', 64),
      source.add(BYTES_AT_ONCE),
      target.add(128),
      groups.add(-1),
    ),
    groups.get,
  );
  return { name: 'blendRows', parameters: variables.parameters, result: false, locals: variables.locals, body };
}

/**
 * blendColumns(pixels, count, first, firstEntries, firstTaps, second, third, otherEntries, otherTaps, step, isYcc): four
 * rows of `count` RGB pixels, from the columns that `blendRows` gave for three colours. An entry is the i32 offset in bytes
 * of its first column and the f32 weights of its columns, which are `step` bytes from one another. Y, Cb and Cr become R, G
 * and B by JFIF's formulas.
 */
export function blendColumns(): WasmFunction {
  const variables = new Variables(
    'pixels',
    'count',
    'first',
    'firstEntries',
    'firstTaps',
    'second',
    'third',
    'otherEntries',
    'otherTaps',
    'step',
    'isYcc',
  );
  const { pixels, count, first, firstEntries, firstTaps, second, third, otherEntries, otherTaps, step, isYcc } =
    variables.given;
  const [left, at, rowBytes, untilEnd, row] = [0, 1, 2, 3, 4].map(() => variables.declare('i32')) as [
    Local,
    Local,
    Local,
    Local,
    Local,
  ];
  const [x, y, z, green, factor, bytes] = [0, 1, 2, 3, 4, 5].map(() => variables.declare('v128')) as [
    Local,
    Local,
    Local,
    Local,
    Local,
    Local,
  ];
  const accumulate = (sum: Local, source: Local) =>
    sum.set(v128.add(sum.get, v128.mul(factor.get, v128.load(i32.add(source.get, at.get)))));
  const blend = (entries: Local, taps: Local, pairs: [Local, Local][]) =>
    sequence(
      ...pairs.map(([sum]) => sum.set(v128.zero)),
      at.set(i32.load(entries.get)),
      entries.add(4),
      left.set(taps.get),
      doWhile(
        sequence(
          factor.set(v128.loadSplat(entries.get)),
          ...pairs.map(([sum, source]) => accumulate(sum, source)),
          at.set(i32.add(at.get, step.get)),
          entries.add(4),
          left.add(-1),
        ),
        left.get,
      ),
    );
  const plus = (value: Local, weight: number, by: Local) => v128.add(value.get, v128.mul(floats(weight), by.get));
  const toRgb = sequence(
    y.set(v128.sub(y.get, floats(128))),
    z.set(v128.sub(z.get, floats(128))),
    green.set(v128.add(plus(x, -0.344136, y), v128.mul(floats(-0.714136), z.get))),
    factor.set(plus(x, 1.402, z)),
    z.set(plus(x, 1.772, y)),
    x.set(factor.get),
    y.set(green.get),
  );
  const body = sequence(
    rowBytes.set(i32.mul(count.get, constant(3))),
    untilEnd.set(count.get),
    doWhile(
      sequence(
        blend(firstEntries, firstTaps, [[x, first]]),
        blend(otherEntries, otherTaps, [
          [y, second],
          [z, third],
        ]),
        when(isYcc.get, toRgb),
        // Four reds, four greens, four blues.
        bytes.set(
          v128.narrowBytes(
            v128.narrow(v128.round(x.get), v128.round(y.get)),
            v128.narrow(v128.round(z.get), v128.round(z.get)),
          ),
        ),
        row.set(pixels.get),
        ...Array.from({ length: ROWS_AT_ONCE }, (_, lane) =>
          sequence(
            v128.storeByte(row.get, bytes.get, lane),
            v128.storeByte(row.get, bytes.get, 4 + lane, 1),
            v128.storeByte(row.get, bytes.get, 8 + lane, 2),
            row.set(i32.add(row.get, rowBytes.get)),
          ),
        ),
        pixels.add(3),
        untilEnd.add(-1),
      ),
      untilEnd.get,
    ),
  );
  return { name: 'blendColumns', parameters: variables.parameters, result: false, locals: variables.locals, body };
}

/** Multiplies the sum after each step: an odd number with bits all over (FNV's prime). */
const PRIME = 0x01000193;

/** checksum(address, bytes): an i32 that changes when any of the bytes does; of a multiple of 16 bytes. */
export function checksum(): WasmFunction {
  const variables = new Variables('address', 'bytes');
  const { address, bytes } = variables.given;
  const sum = variables.declare('v128');
  const body = sequence(
    sum.set(v128.splatInt(constant(PRIME))),
    whileTrue(
      i32.greater(bytes.get, constant(0)),
      sequence(
        sum.set(v128.mulInt(v128.xor(sum.get, v128.load(address.get)), v128.splatInt(constant(PRIME)))),
        address.add(16),
        bytes.add(-16),
      ),
    ),
    [0, 1, 2, 3]
      .map((lane) => v128.lane(sum.get, lane))
      .reduce((total, lane) => i32.xor(i32.mul(total, constant(PRIME)), lane)),
  );
  return { name: 'checksum', parameters: variables.parameters, result: true, locals: variables.locals, body };
}
