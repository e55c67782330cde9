/** How each of `count` results along an axis is a sum of neighbouring samples of a plane. */
export interface Weights {
  /** The first sample of each result, [count]. */
  starts: Int32Array;
  /** Samples of each; weights beyond the needed ones are 0. */
  taps: number;
  /** [count, taps] */
  values: Float32Array;
  /** The samples that any of them needs; the last one is not included. */
  first: number;
  last: number;
}

/** An axis of a plane whose samples are those of the image, shrunk. */
export interface Axis {
  /** Pixels of the image that a sample stands for: 1, 2, 4 or 8. */
  scale: number;
  /** Whether two samples at that scale share one of this plane, as colours of a JPEG do. */
  halved: boolean;
  /** Samples of this plane. */
  samples: number;
}

/**
 * Bilinear with antialiasing, from the part [from, from + length) of an image's axis to `count` pixels: weights fall
 * linearly from the middle of each result, over one pixel of the larger of both grids (Pillow's and torchvision's BILINEAR).
 * Nothing outside that part takes part. Halved colours count as brought to full size first, by 3/4 of the nearer and 1/4 of
 * the farther sample (libjpeg's fancy upsampling).
 */
export function bilinearWeights(axis: Axis, from: number, length: number, count: number): Weights {
  const whole = axis.halved ? 2 * axis.samples : axis.samples;
  const lowest = Math.min(Math.floor(from / axis.scale), whole - 1);
  const highest = Math.min(Math.ceil((from + length) / axis.scale), whole);
  const step = length / axis.scale / count;
  const reach = Math.max(step, 1);
  const most = Math.ceil(2 * reach); // samples that a result can have
  const weights = noWeights(count, axis.halved ? (most >> 1) + 2 : most);
  const sums = new Float64Array(most);
  for (let result = 0; result < count; result++) {
    const middle = from / axis.scale + (result + 0.5) * step;
    const start = Math.min(Math.max(lowest, Math.floor(middle - reach + 0.5)), highest - 1);
    const end = Math.max(start + 1, Math.min(highest, Math.floor(middle + reach + 0.5)));
    let sum = 0;
    for (let sample = start; sample < end; sample++) {
      const weight = Math.max(0, 1 - Math.abs(sample + 0.5 - middle) / reach);
      sums[sample - start] = weight;
      sum += weight;
    }
    for (let at = 0; at < end - start; at++) sums[at] = sum > 0 ? (sums[at] as number) / sum : 1 / (end - start);
    if (axis.halved) putHalved(weights, result, start, end, sums, axis.samples);
    else putWhole(weights, result, start, end, sums);
  }
  return keepInside(weights);
}

/** Lets no result begin so late that its samples, those of weight 0 included, reach beyond the last one that is needed. */
function keepInside(weights: Weights): Weights {
  const { starts, first, last, values } = weights;
  const taps = Math.min(weights.taps, last - first);
  const inside = { ...noWeights(starts.length, taps), first, last };
  for (let result = 0; result < starts.length; result++) {
    const start = Math.min(starts[result] as number, last - taps);
    const shift = (starts[result] as number) - start;
    inside.starts[result] = start;
    for (let tap = shift; tap < taps; tap++) {
      inside.values[result * taps + tap] = values[result * weights.taps + tap - shift] as number;
    }
  }
  return inside;
}

function noWeights(count: number, taps: number): Weights {
  return {
    starts: new Int32Array(count),
    taps,
    values: new Float32Array(count * taps),
    first: Number.POSITIVE_INFINITY,
    last: 0,
  };
}

function putWhole(weights: Weights, result: number, start: number, end: number, sums: Float64Array): void {
  putRange(weights, result, start, end);
  const { values, taps } = weights;
  for (let at = 0; at < end - start; at++) values[result * taps + at] = sums[at] as number;
}

/** Puts weights of samples at full size as weights of those at half. */
function putHalved(
  weights: Weights,
  result: number,
  start: number,
  end: number,
  sums: Float64Array,
  samples: number,
): void {
  const first = Math.max(0, (start - 1) >> 1);
  putRange(weights, result, first, Math.min(samples, (end >> 1) + 1));
  const { values, taps } = weights;
  const place = result * taps - first;
  for (let sample = start; sample < end; sample++) {
    const weight = sums[sample - start] as number;
    const nearer = sample >> 1;
    const farther = Math.min(samples - 1, Math.max(0, nearer + (sample & 1 ? 1 : -1)));
    values[place + nearer] = (values[place + nearer] as number) + 0.75 * weight;
    values[place + farther] = (values[place + farther] as number) + 0.25 * weight;
  }
}

function putRange(weights: Weights, result: number, start: number, end: number): void {
  weights.starts[result] = start;
  weights.first = Math.min(weights.first, start);
  weights.last = Math.max(weights.last, end);
}
