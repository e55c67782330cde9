import type { Samples } from './samples.js';

/** How features are standardised: (x - mean) * scale, each [D]. */
export interface Standardiser {
  readonly mean: Float64Array;
  /** 1 / standard deviation; 0 for features that do not vary. */
  readonly scale: Float64Array;
}

/** Mean and standard deviation of the last layer's features over all samples. */
export function standardiserOf({ rows, width, layers, data }: Samples): Standardiser {
  const offset = (layers - 1) * width;
  const mean = new Float64Array(width);
  const squares = new Float64Array(width);
  const eachRow = (act: (value: number, column: number) => void) => {
    for (let row = 0; row < rows; row++) {
      const from = row * layers * width + offset;
      for (let column = 0; column < width; column++) act(data[from + column] as number, column);
    }
  };
  eachRow((value, column) => {
    mean[column] = (mean[column] as number) + value / rows;
  });
  eachRow((value, column) => {
    squares[column] = (squares[column] as number) + (value - (mean[column] as number)) ** 2;
  });
  // A deviation of rounding errors alone is none.
  const scale = squares.map((sum, column) => {
    const deviation = Math.sqrt(sum / rows);
    return deviation > 1e-6 * Math.abs(mean[column] as number) ? 1 / deviation : 0;
  });
  return { mean, scale };
}

/** The standardised features of the samples of these numbers, [numbers, D]. */
export function standardised(samples: Samples, { mean, scale }: Standardiser, numbers: Uint32Array): Float32Array {
  const { width, layers, data } = samples;
  const rows = new Float32Array(numbers.length * width);
  for (let at = 0; at < numbers.length; at++) {
    const from = ((numbers[at] as number) + 1) * layers * width - width;
    for (let column = 0; column < width; column++) {
      const value = (data[from + column] as number) - (mean[column] as number);
      rows[at * width + column] = value * (scale[column] as number);
    }
  }
  return rows;
}
