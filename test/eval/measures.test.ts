import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { measuresOf, requireShots, votingOf } from '../../commands/options/measures.js';
import { checkPredictions, predictionsText } from '../../commands/predictions-run.js';
import { UserError } from '../../core/base/errors.js';
import { attentiveProtocol } from '../../core/eval/attentive-settings.js';
import { drawLabels, fewLabelAccuracies, labelsOfClass, ranksByFew } from '../../core/eval/few-labels.js';
import { centredSpectrum, lidar, rankMe } from '../../core/eval/geometry.js';
import { nearestNeighbours } from '../../core/eval/neighbours.js';
import { classCounts, mcNemar, pairedTests } from '../../core/eval/paired.js';
import { pickSamples, type Samples } from '../../core/eval/samples.js';
import { measuresText, pairedText, perClassText } from '../../core/report/measures-text.js';
import { neighboursNote } from '../../core/report/table-notes.js';
import { findEngines, testOnEngines, withoutCpu, withoutOpenvino } from '../helpers/engines.js';
import { accuracies, evaluationResult } from '../helpers/evaluation.js';
import { FIXTURES } from '../helpers/paths.js';

const engines = withoutCpu(withoutOpenvino(await findEngines()));

/** Computed with NumPy, SciPy and scikit-learn by fixtures/measures/make_golden.py. */
const GOLDEN: {
  width: number;
  classes: number;
  train: number[];
  labels: number[];
  test: number[];
  testLabels: number[];
  neighbours: { temperature: number; k: number; predicted: number[] }[];
  few: { chosen: number[]; predicted: number[] }[];
  spectrum: { rows: number; features: number[]; rankMe: number; rankMeCentred: number; alphaReq: number };
  lidar: { images: number; views: number; features: number[]; value: number };
  mcNemar: { first: number; second: number; p: number }[];
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

testOnEngines(test, engines, "few labels give scikit-learn's classes", async (t, engine) => {
  for (const { chosen, predicted } of GOLDEN.few) {
    const train = pickSamples(TRAIN, Uint32Array.from(chosen));
    const ranks = await ranksByFew(engine, train, TEST, GOLDEN.classes);
    const right = TEST.labels.map((label, at) => Number(predicted[at] === label));
    t.deepEqual(
      ranks.map((rank) => Number(rank === 0)),
      right,
    );
  }
  const asked = { counts: [{ shots: 2 }, { fraction: 1 }], draws: 3 };
  const [few, all] = await fewLabelAccuracies(engine, TRAIN, TEST, GOLDEN.classes, asked, 0);
  t.is(few?.images, 2 * GOLDEN.classes);
  t.is(few?.top1.values.length, 3);
  t.true((few?.top1.deviation ?? 0) > 0, 'draws differ');
  t.is(all?.images, TRAIN.rows);
  t.is(all?.top1.deviation, 0, 'all labels are the same in every draw');
  t.deepEqual((await fewLabelAccuracies(engine, TRAIN, TEST, GOLDEN.classes, asked, 0))[0], few);
});

test('labels are drawn class by class, fewer of them within more', (t) => {
  const { classes } = GOLDEN;
  const draw = (shots: number, at: number) => [...drawLabels(TRAIN.labels, classes, { shots }, 7, at)];
  const [two, five] = [draw(2, 0), draw(5, 0)];
  t.true(two.every((number) => five.includes(number)));
  for (let label = 0; label < classes; label++) {
    t.is(five.filter((number) => TRAIN.labels[number] === label).length, 5);
  }
  t.is(new Set(five).size, 5 * classes);
  t.notDeepEqual(draw(5, 1), five);
  t.deepEqual(
    [labelsOfClass({ fraction: 0.1 }, 26), labelsOfClass({ fraction: 0.01 }, 20), labelsOfClass({ shots: 5 }, 3)],
    [3, 1, 3],
  );
});

test("ranks and the exponent are the papers'", (t) => {
  const { rows, features, ...expected } = GOLDEN.spectrum;
  const found = Float32Array.from(features);
  const { rankMeCentred, alphaReq } = centredSpectrum(found, rows);
  t.true(Math.abs(rankMe(found, rows) - expected.rankMe) < 1e-5);
  t.true(Math.abs(rankMeCentred - expected.rankMeCentred) < 1e-5);
  t.true(Math.abs((alphaReq ?? 0) - expected.alphaReq) < 1e-5, `${alphaReq}`);
  t.is(centredSpectrum(found.subarray(0, 3 * 12), 3).alphaReq, null, 'two directions have no tail');
  const { views, features: crops, value } = GOLDEN.lidar;
  const rank = lidar(Float32Array.from(crops), views, GOLDEN.width);
  t.true(Math.abs(rank - value) < 1e-4, `${rank}`);
});

test("McNemar's test is SciPy's binomial one, and takes networks on the same images alone", (t) => {
  for (const { first, second, p } of GOLDEN.mcNemar) {
    t.true(Math.abs(mcNemar(first, second) / p - 1) < 1e-9, `${first}, ${second}: ${mcNemar(first, second)}`);
  }
  const named = (head: string, images = 'a') =>
    evaluationResult({ predictions: { images, labels: '0 1 2 2', head, logistic: head, neighbours: null } });
  const results = [named('0 1 2 0'), named('1 1 2 2'), named('0 0 0 0', 'other images'), evaluationResult()];
  const tests = pairedTests(results, 'head');
  t.like(tests, { length: 1, 0: { images: 4, onlyFirst: 1, onlySecond: 1, p: 1 } });
  t.deepEqual(pairedTests(results, 'neighbours'), []);
  const [counted] = classCounts(results, 'head');
  t.deepEqual(counted?.classes, [
    { number: 0, images: 1, right: 1 },
    { number: 1, images: 1, right: 1 },
    { number: 2, images: 2, right: 1 },
  ]);
  t.regex(perClassText(counted ? [counted] : [], 'head'), /\n {2}class 2: 50.0% \(9.5 to 90.5\), 1 of 2$/);
  t.regex(pairedText(tests, 'head'), /chosen linear heads\n.*right alone on 1 to 1 of 4 test images, p = 1.00\n/);
});

test('what was measured is told in lines', (t) => {
  t.notRegex(neighboursNote([evaluationResult()]).join(), /temperature/);
  t.regex(neighboursNote([evaluationResult({ neighbourTemperature: 1 })]).join(), /have the temperature 1\.$/);
  t.deepEqual(measuresText(evaluationResult()), []);
  const top1 = { value: 41.24, low: 40, high: 43, deviation: 3.06, values: [39, 43] };
  const lidar = { images: 9, views: 2, value: 3.04 };
  const geometry = { images: 64, rankMe: 5, rankMeCentred: 4.5, alphaReq: 1.234, lidar };
  const fewLabels = [{ count: { fraction: 0.1 }, images: 30, top1 }];
  const segmentation = {
    ...{ data: 'street', classes: [0, 4], trainImages: 8, testImages: 2, patches: 128, pixels: 900 },
    ...{ meanIou: 51.25, pixelAccuracy: 80.5, iou: [60, null] },
  };
  const attentive = { ...accuracies(50), curve: [50], settings: attentiveProtocol('paper', 10_000) };
  t.deepEqual(measuresText(evaluationResult({ geometry, fewLabels, overSeeds: top1, attentive, segmentation })), [
    '  geometry of 64 training images: RankMe 5.0, centred 4.5, alpha-ReQ 1.23; LiDAR 3.0 (2 crops of 9 images)',
    '  best head over 2 seeds: 41.2 ± 3.1%',
    '  logistic regression on 10% of the labels (2 draws of 30 images): 41.2 ± 3.1%',
    '  attentive probe: 50.0% (48.5 to 51.3), top-5 60.0% (20 epochs, batches of 1024 at most, learning rate 0.001 along a cosine to 0)',
    '  segmentation of 2 images by a linear map of patches, learned from 8: mean IoU 51.3%, pixels 80.5%',
    '    IoU: class 0 60.0, class 4 –',
  ]);
});

test('wrong numbers are refused, each by one message', (t) => {
  const tables = {
    results: [],
    format: 'text',
    paired: null,
    perClass: null,
    chart: null,
    force: false,
    json: false,
  } as const;
  const usual = { shots: [], labelFraction: [], draws: 10, seeds: 1, lidarViews: 0, attentive: false };
  t.deepEqual(measuresOf({ ...usual, shots: ['2'], labelFraction: ['10%', '0.5'] }).fewLabels, {
    counts: [{ shots: 2 }, { fraction: 0.1 }, { fraction: 0.5 }],
    draws: 10,
  });
  t.is(measuresOf(usual).fewLabels, null);
  const refused: [() => unknown, RegExp][] = [
    [() => votingOf({ neighbours: ['5', 'x'], knnTemperature: 1 }), /--neighbours cannot be '5,x'/],
    [() => votingOf({ neighbours: ['0'], knnTemperature: 1 }), /--neighbours cannot be '0'/],
    [() => measuresOf({ ...usual, shots: ['1.5'] }), /--shots cannot be '1.5'/],
    [() => measuresOf({ ...usual, labelFraction: ['200%'] }), /--label-fraction cannot be '200%'/],
    [() => measuresOf({ ...usual, lidarViews: 1 }), /--lidar-views cannot be 1/],
    [() => checkPredictions({ ...tables, paired: 'head', perClass: 'head' }), /contradict one another/],
    [() => checkPredictions({ ...tables, perClass: 'head', format: 'csv' }), /--per-class makes no tables/],
    [() => predictionsText([evaluationResult()], { ...tables, paired: 'head' }), /found no two networks/],
    [() => predictionsText([evaluationResult()], { ...tables, perClass: 'head' }), /found no predictions/],
  ];
  for (const [act, message] of refused) t.throws(act, { instanceOf: UserError, message });
  const images = { length: 3, classOf: (at: number) => Number(at === 2) } as Parameters<typeof requireShots>[1];
  const asked = measuresOf({ ...usual, shots: ['1', '2'] });
  t.throws(() => requireShots(asked, images, ['cat', 'dog']), {
    instanceOf: UserError,
    message: '--shots 2: class dog has 1 training images',
  });
  t.notThrows(() => requireShots(measuresOf(usual), images, ['cat', 'dog']));
});
