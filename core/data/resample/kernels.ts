import type { Interpolation } from '../../contract/data-sets.js';
import { type Code, doWhile, i32, ints, type Local, sequence, Variables, v128 } from '../../wasm/instructions.js';
import type { WasmFunction } from '../../wasm/module.js';

/** How each result along an axis is a sum of neighbouring samples. */
export interface Weights {
  /** The first sample of each result, [n]. */
  starts: Int32Array;
  /** Samples of each, an even number; weights beyond the needed ones are 0, and their samples may not exist. */
  taps: number;
  /** [n, taps]: whole numbers, of which 2 ** PRECISION make 1. */
  values: Int32Array;
  /** The samples that any of them needs; the last one is not included. */
  first: number;
  last: number;
}

/** Bits behind the point of a weight (Pillow's for 8-bit pictures). */
const PRECISION = 22;
const ONE = 2 ** PRECISION;

/** The weight of a sample at a distance from the middle of a result, in pixels, and where it becomes 0. */
const FILTERS: Record<Interpolation, { support: number; weight: (distance: number) => number }> = {
  bilinear: { support: 1, weight: (distance) => Math.max(0, 1 - Math.abs(distance)) },
  bicubic: { support: 2, weight: (distance) => cubic(Math.abs(distance)) },
};

/** Catmull-Rom's cubic, a = -0.5, in Pillow's order of operations. */
function cubic(x: number): number {
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
}

/**
 * The weights that bring `length` samples to `size` pixels, with antialiasing where these are fewer: the filter lies about
 * the middle of each pixel, wider by the part to which the axis shrinks; samples beyond the ends do not take part. The same
 * whole numbers as Pillow's (`precompute_coeffs` and `normalize_coeffs_8bpc` in its Resample.c).
 * @param from the first pixel that is wanted of these
 * @param count how many are
 */
export function axisWeights(kind: Interpolation, length: number, size: number, from: number, count: number): Weights {
  const filter = FILTERS[kind];
  const step = length / size;
  const widening = Math.max(step, 1);
  const support = filter.support * widening;
  const middleOf = (result: number) => (from + result + 0.5) * step;
  const starts = new Int32Array(count);
  const ends = new Int32Array(count);
  let most = 1;
  for (let result = 0; result < count; result++) {
    starts[result] = Math.max(0, Math.trunc(middleOf(result) - support + 0.5));
    ends[result] = Math.min(length, Math.trunc(middleOf(result) + support + 0.5));
    most = Math.max(most, ends[result] - starts[result]);
  }
  const taps = most + (most & 1);
  const values = new Int32Array(count * taps);
  const raw = new Float64Array(taps);
  for (let result = 0; result < count; result++) {
    const start = starts[result];
    const needed = ends[result] - start;
    const middle = middleOf(result);
    let sum = 0;
    for (let at = 0; at < needed; at++) {
      const value = filter.weight((at + start - middle + 0.5) / widening);
      raw[at] = value;
      sum += value;
    }
    for (let at = 0; at < needed; at++) {
      const weight = (raw[at] / sum) * ONE;
      values[result * taps + at] = Math.trunc(weight < 0 ? weight - 0.5 : weight + 0.5);
    }
  }
  return { starts, taps, values, first: starts[0], last: ends[count - 1] };
}

// Weights are whole numbers of 23 bits with their sign. Products of bytes with them are formed of halves, because there is
// an instruction that adds products of words of 16 bits by pairs: weight = high * 2 ** LOW_BITS + low. Sums are those of
// whole numbers of 32 bits, bit for bit.
export const LOW_BITS = 11;

/** Rows that are shrunk across at the same time. */
export const ROW_BLOCK = 4;
/** Columns that are shrunk down at the same time, in bytes. */
export const COLUMN_BLOCK = 8;

const HALF = ints(1 << (PRECISION - 1));
/** Picks bytes of two pixels as words: R0 R1 G0 G1 B0 B1 0 0. */
const PAIR_OF_PIXELS = [0, 16, 3, 16, 1, 16, 4, 16, 2, 16, 5, 16, 16, 16, 16, 16];
/** Picks the bytes of two rows in turn. */
const PAIR_OF_ROWS = [0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23];

const PARAMETERS = ['source', 'sourceStride', 'target', 'targetStride', 'rows', 'count', 'entries', 'pairs'] as const;

/** Sums of the high and of the low halves of weights. */
type Sums = Record<'high' | 'low', Local>;

/**
 * acrossRows(source, sourceStride, target, targetStride, rows, count, entries, pairs): `rows` rows of `count` RGB pixels as
 * sums of pixels of the rows of `source`; a multiple of four rows. An entry is the i32 offset in bytes of its first pixel
 * and, for each pair of pixels, the high halves of their weights and the low ones, four i16.
 */
export function acrossRows(): WasmFunction {
  const variables = new Variables(...PARAMETERS);
  const { source, sourceStride, target, targetStride, rows, count, entries, pairs } = variables.given;
  const [entry, from, to, left, untilEnd] = variables.declareAll('i32', 5);
  const [high, low, pixels] = variables.declareAll('v128', 3);
  const sums = Array.from({ length: ROW_BLOCK }, () => declareSums(variables));
  const addresses = variables.declareAll('i32', 4);
  const [first, second, third, fourth] = sums.map(rounded);

  const pixel = sequence(
    from.set(i32.add(source.get, i32.load(entry.get))),
    ...addresses.map((address, row) =>
      address.set(row === 0 ? from.get : i32.add(addresses[row - 1].get, sourceStride.get)),
    ),
    entry.add(4),
    ...sums.flatMap((sum) => [sum.high.set(v128.zero), sum.low.set(v128.zero)]),
    left.set(pairs.get),
    doWhile(
      sequence(
        high.set(v128.loadSplat(entry.get)),
        low.set(v128.loadSplat(entry.get, 4)),
        ...sums.flatMap((sum, row) => [
          pixels.set(v128.shuffle(v128.loadDouble(addresses[row].get), v128.zero, PAIR_OF_PIXELS)),
          add(sum, pixels, high, low),
          addresses[row].add(6),
        ]),
        entry.add(8),
        left.add(-1),
      ),
      left.get,
    ),
    // The rows' R G B 0, one after the other.
    pixels.set(v128.narrowBytes(v128.narrow(first, second), v128.narrow(third, fourth))),
    from.set(to.get),
    ...sums.flatMap((_, row) => [
      v128.storeLane(from.get, pixels.get, row),
      ...(row + 1 < ROW_BLOCK ? [from.add(targetStride.get)] : []),
    ]),
    to.add(3),
    untilEnd.add(-1),
  );
  const body = doWhile(
    sequence(
      entry.set(entries.get),
      to.set(target.get),
      untilEnd.set(count.get),
      doWhile(pixel, untilEnd.get),
      source.add(i32.mul(sourceStride.get, i32.const(ROW_BLOCK))),
      target.add(i32.mul(targetStride.get, i32.const(ROW_BLOCK))),
      rows.add(-ROW_BLOCK),
    ),
    i32.greater(rows.get, i32.const(0)),
  );
  return { name: 'acrossRows', parameters: variables.parameters, locals: variables.locals, body };
}

/**
 * downColumns(source, sourceStride, target, targetStride, rows, count, entries, pairs): `rows` rows of 8 `count` bytes as
 * sums of the rows of `source`. An entry is as for `acrossRows`, with the offset of its first row.
 */
export function downColumns(): WasmFunction {
  const variables = new Variables(...PARAMETERS);
  const { source, sourceStride, target, targetStride, rows, count, entries, pairs } = variables.given;
  const [entry, from, to, column, left, untilEnd] = variables.declareAll('i32', 6);
  const [high, low, pair, words] = variables.declareAll('v128', 4);
  const sums = [declareSums(variables), declareSums(variables)] as const;
  const upper = i32.add(from.get, sourceStride.get);

  const group = sequence(
    entry.set(i32.add(entries.get, i32.const(4))),
    from.set(i32.add(i32.add(source.get, i32.load(entries.get)), column.get)),
    ...sums.flatMap((sum) => [sum.high.set(v128.zero), sum.low.set(v128.zero)]),
    left.set(pairs.get),
    doWhile(
      sequence(
        high.set(v128.loadSplat(entry.get)),
        low.set(v128.loadSplat(entry.get, 4)),
        pair.set(v128.shuffle(v128.loadDouble(from.get), v128.loadDouble(upper), PAIR_OF_ROWS)),
        words.set(v128.wordsOfLowBytes(pair.get)),
        add(sums[0], words, high, low),
        words.set(v128.wordsOfHighBytes(pair.get)),
        add(sums[1], words, high, low),
        from.set(i32.add(upper, sourceStride.get)),
        entry.add(8),
        left.add(-1),
      ),
      left.get,
    ),
    words.set(v128.narrow(rounded(sums[0]), rounded(sums[1]))),
    v128.storeDouble(i32.add(to.get, column.get), v128.narrowBytes(words.get, words.get)),
    column.add(COLUMN_BLOCK),
    untilEnd.add(-1),
  );
  const body = sequence(
    to.set(target.get),
    doWhile(
      sequence(
        column.set(i32.const(0)),
        untilEnd.set(count.get),
        doWhile(group, untilEnd.get),
        entries.set(entry.get),
        to.add(targetStride.get),
        rows.add(-1),
      ),
      rows.get,
    ),
  );
  return { name: 'downColumns', parameters: variables.parameters, locals: variables.locals, body };
}

function declareSums(variables: Variables<string>): Sums {
  return { high: variables.declare('v128'), low: variables.declare('v128') };
}

/** Adds products of pairs of words. */
function add(sums: Sums, words: Local, high: Local, low: Local): Code {
  return sequence(
    sums.high.set(v128.addInts(sums.high.get, v128.dot(words.get, high.get))),
    sums.low.set(v128.addInts(sums.low.get, v128.dot(words.get, low.get))),
  );
}

/** The whole sums, without the bits behind the point. */
function rounded({ high, low }: Sums): Code {
  const whole = v128.shiftLeft(high.get, i32.const(LOW_BITS));
  return v128.shiftRight(v128.addInts(v128.addInts(whole, low.get), HALF), i32.const(PRECISION));
}
