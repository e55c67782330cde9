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
  const rows: { start: number; values: number[] }[] = [];
  for (let result = 0; result < count; result++) {
    const middle = from / axis.scale + (result + 0.5) * step;
    const start = Math.min(Math.max(lowest, Math.floor(middle - reach + 0.5)), highest - 1);
    const end = Math.max(start + 1, Math.min(highest, Math.floor(middle + reach + 0.5)));
    const values: number[] = [];
    let sum = 0;
    for (let sample = start; sample < end; sample++) {
      const weight = Math.max(0, 1 - Math.abs(sample + 0.5 - middle) / reach);
      values.push(weight);
      sum += weight;
    }
    if (sum === 0) values.fill(1 / values.length);
    else for (let at = 0; at < values.length; at++) values[at] = (values[at] as number) / sum;
    rows.push(axis.halved ? halve(start, values, axis.samples) : { start, values });
  }
  return pack(rows);
}

/** Weights of samples at full size as weights of those at half. */
function halve(start: number, values: readonly number[], samples: number): { start: number; values: number[] } {
  const first = Math.max(0, (start >> 1) - 1);
  const end = Math.min(samples, ((start + values.length - 1) >> 1) + 2);
  const halved = Array<number>(end - first).fill(0);
  values.forEach((weight, at) => {
    const sample = start + at;
    const nearer = sample >> 1;
    const farther = Math.min(samples - 1, Math.max(0, nearer + (sample & 1 ? 1 : -1)));
    halved[nearer - first] = (halved[nearer - first] as number) + 0.75 * weight;
    halved[farther - first] = (halved[farther - first] as number) + 0.25 * weight;
  });
  return { start: first, values: halved };
}

function pack(rows: readonly { start: number; values: readonly number[] }[]): Weights {
  const taps = rows.reduce((most, { values }) => Math.max(most, values.length), 1);
  const packed: Weights = {
    starts: new Int32Array(rows.length),
    taps,
    values: new Float32Array(rows.length * taps),
    first: Number.POSITIVE_INFINITY,
    last: 0,
  };
  rows.forEach(({ start, values }, row) => {
    packed.starts[row] = start;
    packed.values.set(values, row * taps);
    packed.first = Math.min(packed.first, start);
    packed.last = Math.max(packed.last, start + values.length);
  });
  return packed;
}
