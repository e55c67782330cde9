import type { Interpolation } from '../../contract/data-sets.js';

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
export const PRECISION = 22;
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
  const middles = Float64Array.from({ length: count }, (_, result) => (from + result + 0.5) * step);
  const starts = Int32Array.from(middles, (middle) => Math.max(0, Math.trunc(middle - support + 0.5)));
  const ends = Int32Array.from(middles, (middle) => Math.min(length, Math.trunc(middle + support + 0.5)));
  const most = starts.reduce((most, start, result) => Math.max(most, ends[result] - start), 1);
  const taps = most + (most & 1);
  const values = new Int32Array(count * taps);
  const raw = new Float64Array(taps);
  for (let result = 0; result < count; result++) {
    const start = starts[result];
    const needed = ends[result] - start;
    const middle = middles[result];
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
  return { starts, taps, values, first: starts[0], last: ends.at(-1) as number };
}
