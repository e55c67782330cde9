import type { FeatureKind } from '../plugin.js';

/** Features of labelled images in memory. */
export interface Samples {
  readonly rows: number;
  /** D, of one layer. */
  readonly width: number;
  readonly layers: number;
  /** [rows, layers D]; the last D columns are the last layer's. */
  readonly data: Float32Array;
  /** [rows] */
  readonly labels: Int32Array;
}

/** The samples with all of their columns as one layer's. */
export function allLayers(samples: Samples): Samples {
  return { ...samples, width: samples.width * samples.layers, layers: 1 };
}

/** The samples, of which readers of one layer see the columns of this kind. */
export function samplesOf(samples: Samples, features: FeatureKind): Samples {
  return features === 'last' ? samples : allLayers(samples);
}

/** The samples of these numbers. */
export function pickRows(samples: Samples, numbers: Uint32Array): Samples {
  const columns = samples.width * samples.layers;
  const data = new Float32Array(numbers.length * columns);
  const labels = new Int32Array(numbers.length);
  numbers.forEach((number, at) => {
    data.set(samples.data.subarray(number * columns, (number + 1) * columns), at * columns);
    labels[at] = samples.labels[number] as number;
  });
  return { ...samples, rows: numbers.length, data, labels };
}

/** @throws Error if samples are none, or not what they say */
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
