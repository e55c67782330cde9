import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { nearestNeighbours } from '../../core/eval/neighbours.js';
import type { Samples } from '../../core/eval/samples.js';
import { findEngines, testOnEngines, withoutOpenvino } from '../helpers/engines.js';
import { FIXTURES } from '../helpers/paths.js';

const engines = withoutOpenvino(await findEngines());

/** Computed with NumPy, SciPy and scikit-learn by fixtures/measures/make_golden.py. */
const GOLDEN: {
  width: number;
  classes: number;
  train: number[];
  labels: number[];
  test: number[];
  testLabels: number[];
  neighbours: { temperature: number; k: number; predicted: number[] }[];
} = JSON.parse(readFileSync(join(FIXTURES, 'measures', 'golden.json'), 'utf8'));

function samplesOf(data: readonly number[], labels: readonly number[]): Samples {
  const { width } = GOLDEN;
  return { rows: labels.length, width, layers: 1, data: Float32Array.from(data), labels: Int32Array.from(labels) };
}

const TRAIN = samplesOf(GOLDEN.train, GOLDEN.labels);
const TEST = samplesOf(GOLDEN.test, GOLDEN.testLabels);

testOnEngines(test, engines, 'neighbours name the classes of the published votes', async (t, engine) => {
  const { neighbours, classes } = GOLDEN;
  for (const temperature of new Set(neighbours.map((one) => one.temperature))) {
    const expected = neighbours.filter((one) => one.temperature === temperature);
    const voting = { ks: expected.map(({ k }) => k), temperature };
    const found = await nearestNeighbours(engine, TRAIN, TEST, classes, voting);
    for (const { k, predicted } of expected) {
      t.deepEqual([...(found.get(k)?.predicted ?? [])], predicted, `k ${k}, T ${temperature}`);
      const right = TEST.labels.map((label, at) => Number(predicted[at] === label));
      t.deepEqual(
        found.get(k)?.ranks.map((rank) => Number(rank === 0)),
        right,
      );
    }
  }
});
