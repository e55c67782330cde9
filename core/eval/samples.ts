import { RandomStream } from '../base/random.js';
import type { FeatureKind } from '../contract/data-sets.js';

/*
 * Features of labelled images, and what classifiers see of them.
 *
 * Letters: M samples, L layers, D width of a layer, K width of the features that are seen: D, or L D.
 */

export interface Samples {
  /** M */
  readonly rows: number;
  /** D */
  readonly width: number;
  /** L */
  readonly layers: number;
  /** [M, L D]; the last D columns are the last layer's. */
  readonly data: Float32Array;
  /** [M] */
  readonly labels: Int32Array;
}

/** What a classifier sees of samples: the columns of a kind of features, standardised where a standardiser says how. */
export interface Inputs {
  readonly samples: Samples;
  readonly features: FeatureKind;
  /** (x - mean) * scale, each [K]; scale is 1 / standard deviation, and 0 for features that do not vary. */
  readonly standardiser?: { mean: Float64Array; scale: Float64Array } | undefined;
  /** Which samples, and in which order; default: all, in theirs. */
  readonly numbers?: Uint32Array;
}

/** Samples that are looked at together, n of them. */
export interface Piece {
  /** How many samples came before. */
  readonly start: number;
  /** Their inputs, [n, K]. */
  readonly rows: Float32Array;
  readonly shape: [number, number];
  /** [n] */
  readonly labels: Int32Array;
}

/** K */
export function inputWidth({ samples: { width, layers }, features }: Inputs): number {
  return features === 'last' ? width : layers * width;
}

/** How many samples are seen. */
export function inputCount({ samples, numbers }: Inputs): number {
  return numbers?.length ?? samples.rows;
}

/** What is seen in pieces of at most `size` samples. */
export function* pieces(inputs: Inputs, size: number): Generator<Piece> {
  const width = inputWidth(inputs);
  const { numbers = range(inputs.samples.rows) } = inputs;
  for (let start = 0; start < numbers.length; start += size) {
    const piece = numbers.subarray(start, start + size);
    const labels = labelsOf(inputs.samples, piece);
    yield { start, rows: inputRows(inputs, piece), shape: [piece.length, width], labels };
  }
}

/** The inputs of the samples of these numbers, [numbers, K]. */
function inputRows(inputs: Inputs, numbers: Uint32Array): Float32Array {
  const { samples, standardiser } = inputs;
  const width = inputWidth(inputs);
  const columns = samples.layers * samples.width;
  const rows = new Float32Array(numbers.length * width);
  numbers.forEach((number, at) => {
    const end = (number + 1) * columns;
    rows.set(samples.data.subarray(end - width, end), at * width);
  });
  if (!standardiser) return rows;
  const { mean, scale } = standardiser;
  for (let start = 0; start < rows.length; start += width) {
    for (let column = 0; column < width; column++) {
      rows[start + column] = (rows[start + column] - mean[column]) * scale[column];
    }
  }
  return rows;
}

/** The features of a kind of all samples, [M, K]; not copied where they are all columns. */
export function featureColumns(samples: Samples, features: FeatureKind): Float32Array {
  if (features === 'last-4' || samples.layers === 1) return samples.data;
  return inputRows({ samples, features }, range(samples.rows));
}

/** The features of samples standardised to mean 0 and variance 1. */
export function standardise(samples: Samples, features: FeatureKind): Inputs {
  const { rows, data } = samples;
  const width = inputWidth({ samples, features });
  const columns = samples.layers * samples.width;
  const mean = new Float64Array(width);
  const squares = new Float64Array(width);
  const eachValue = (act: (value: number, column: number) => void) => {
    for (let end = columns; end <= rows * columns; end += columns) {
      for (let column = 0; column < width; column++) act(data[end - width + column], column);
    }
  };
  eachValue((value, column) => {
    mean[column] += value / rows;
  });
  eachValue((value, column) => {
    squares[column] += (value - mean[column]) ** 2;
  });
  // A standard deviation of rounding errors alone is none.
  const scale = squares.map((sum, column) => {
    const std = Math.sqrt(sum / rows);
    return std > 1e-6 * Math.abs(mean[column]) ? 1 / std : 0;
  });
  return { samples, features, standardiser: { mean, scale } };
}

/** The samples of these numbers. */
export function pickSamples(samples: Samples, numbers: Uint32Array): Samples {
  const data = inputRows({ samples, features: 'last-4' }, numbers);
  return { ...samples, rows: numbers.length, data, labels: labelsOf(samples, numbers) };
}

function labelsOf({ labels }: Samples, numbers: Uint32Array): Int32Array {
  return Int32Array.from(numbers, (number) => labels[number]);
}

function range(end: number): Uint32Array {
  return Uint32Array.from({ length: end }, (_, at) => at);
}

/**
 * A random tenth of the training samples, on which choices are made (which head, which regularisation), and the rest:
 * the same for everything that is chosen. None is held out where there are fewer than ten.
 */
export function holdOut(rows: number): { held: Uint32Array; rest: Uint32Array } {
  const order = new RandomStream(0, 'held out').permutation(rows);
  const count = Math.floor(rows / 10);
  return { held: order.slice(0, count), rest: order.slice(count) };
}

/** @throws Error if there are no samples, or they are not what they say */
export function checkSamples(name: string, { rows, width, layers, data, labels }: Samples, classes: number): void {
  const expected = rows * width * layers;
  if (rows === 0 || data.length !== expected || labels.length !== rows) {
    throw new Error(
      `${name} samples: expected ${rows} > 0 rows, ${expected} numbers and ${rows} labels, received ${data.length} and ${labels.length}`,
    );
  }
  const wrong = labels.find((label) => label < 0 || label >= classes);
  if (wrong !== undefined) throw new Error(`${name} samples: expected classes below ${classes}, received ${wrong}`);
}
