import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { RandomStream } from '../../core/base/random.js';
import { tf } from '../../core/engine/tf.js';
import { percentWithin } from '../../core/eval/accuracy.js';
import { linearRanks } from '../../core/eval/linear.js';
import { logisticRegression, prepareFits } from '../../core/eval/logistic.js';
import { type Samples, standardise } from '../../core/eval/samples.js';
import { minimise } from '../../core/eval/solvers.js';
import { findEngines, relativeDifference, testOnEngines, withoutCpu, withoutOpenvino } from '../helpers/engines.js';
import { ROOT } from '../helpers/paths.js';

const engines = withoutCpu(withoutOpenvino(await findEngines()));

/** Computed with scikit-learn by fixtures/logistic/make_golden.py. */
const GOLDEN: {
  width: number;
  classes: number;
  train: number[];
  labels: number[];
  test: number[];
  testLabels: number[];
  cases: { c: number; loss: number; weight: number[]; bias: number[]; top1: number }[];
} = JSON.parse(readFileSync(join(ROOT, 'fixtures', 'logistic', 'golden.json'), 'utf8'));

function samplesOf(data: readonly number[], labels: readonly number[], width = GOLDEN.width, layers = 1): Samples {
  return { rows: labels.length, width, layers, data: Float32Array.from(data), labels: Int32Array.from(labels) };
}

const TRAIN = samplesOf(GOLDEN.train, GOLDEN.labels);
const TEST = samplesOf(GOLDEN.test, GOLDEN.testLabels);

testOnEngines(
  test,
  engines,
  "logistic regression ends at scikit-learn's loss, weights and accuracy",
  async (t, engine) => {
    const { classes, width, cases } = GOLDEN;
    const before = tf.memory().numTensors;
    const inputs = standardise(TRAIN, 'last');
    const fits = prepareFits(engine, classes);
    const cs = cases.map(({ c }) => c);
    for await (const { weight, bias, choice, loss } of fits(inputs, cs)) {
      const { c } = choice;
      const expected = cases.find((one) => one.c === c);
      if (!expected) return t.fail();
      t.true(Math.abs(loss - expected.loss) < 2e-6, `C ${c}: ${loss}, ${expected.loss}`);
      const byClass = Array.from({ length: classes * width }, (_, at) => {
        return weight[(at % width) * classes + Math.floor(at / width)] as number;
      });
      t.true(relativeDifference(byClass, expected.weight) < 2e-3, `C ${c}`);
      const mean = bias.reduce((sum, value) => sum + value / classes, 0);
      t.true(
        relativeDifference(
          bias.map((value) => value - mean),
          expected.bias,
        ) < 2e-3,
        `C ${c}`,
      );
      const ranks = await linearRanks(engine, { weight, bias }, { ...inputs, samples: TEST });
      t.true(Math.abs(percentWithin(ranks, 1) - expected.top1) < 1e-9);
    }
    t.is(tf.memory().numTensors, before);
  },
);

testOnEngines(test, engines, 'features and C are chosen on held-out samples, the same each time', async (t, engine) => {
  // The first layer tells the class, the last one nothing.
  const stream = new RandomStream(0, 'layers');
  const both = (rows: number): Samples => {
    const labels = Array.from({ length: rows }, () => stream.integer(0, 2));
    const data = labels.flatMap((label) => [
      label + 0.1 * stream.normal(),
      stream.normal(),
      stream.normal(),
      stream.normal(),
    ]);
    return samplesOf(data, labels, 2, 2);
  };
  const [train, test] = [both(120), both(60)];
  const before = tf.memory().numTensors;
  const first = await logisticRegression(engine, train, test, 3);
  t.is(first.features, 'last-4');
  t.is(percentWithin(first.ranks, 1), 100);
  t.deepEqual(await logisticRegression(engine, train, test, 3), first);
  // Other test labels change nothing of what is chosen.
  const other = await logisticRegression(engine, train, { ...test, labels: test.labels.map(() => 0) }, 3);
  t.deepEqual([other.features, other.c], [first.features, first.c]);
  const few = await logisticRegression(engine, both(5), test, 3); // too few to hold any out
  t.deepEqual([few.features, few.c], ['last', 1]);
  t.is(tf.memory().numTensors, before);
  await t.throwsAsync(logisticRegression(engine, { ...train, data: train.data.map(() => Number.NaN) }, test, 3), {
    message: /not finite/,
  });
  await t.throwsAsync(logisticRegression(engine, train, test, 3, AbortSignal.abort(new Error('stopped'))), {
    message: 'stopped',
  });
  t.is(tf.memory().numTensors, before);
});

test('L-BFGS finds the minimum of a long narrow valley', async (t) => {
  const scales = [1, 10, 100, 1e3, 1e4];
  const evaluate = async (point: Float64Array) => ({
    loss: scales.reduce((sum, scale, at) => sum + Math.cosh(0.3 * ((point[at] as number) - at)) * scale, 0),
    gradient: Float64Array.from(scales, (scale, at) => 0.3 * scale * Math.sinh(0.3 * ((point[at] as number) - at))),
  });
  const still = (vector: Float64Array) => vector;
  const settings = { tolerance: 1e-8, maxIterations: 200 };
  const { point, iterations } = await minimise(evaluate, new Float64Array(5), still, settings);
  t.true(
    point.every((value, at) => Math.abs(value - at) < 1e-6),
    [...point].join(),
  );
  t.true(iterations < 100, `${iterations}`);
  const known = (vector: Float64Array) => vector.map((value, at) => value / (0.09 * (scales[at] as number)));
  const guided = await minimise(evaluate, new Float64Array(5), known, settings);
  t.true(guided.iterations < iterations / 2, `${guided.iterations} of ${iterations}`);
});
