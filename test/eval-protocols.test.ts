import test from 'ava';
import { accuracies } from '../core/eval/accuracy.js';
import { headChoices } from '../core/eval/heads.js';
import { LINEAR_PROTOCOL, learningRateAt, quickProtocol, stepsPerEpoch } from '../core/eval/protocols.js';
import { rankOf } from '../core/eval/ranks.js';
import type { ProbeProtocol } from '../core/plugin.js';
import { RandomStream } from '../core/random.js';

const COSINE: ProbeProtocol = {
  ...LINEAR_PROTOCOL,
  optimiser: 'sgd',
  batchSize: 256,
  baseLearningRate: 0.01,
  schedule: { kind: 'cosine', finalPart: 0.01 },
};
const isClose = (actual: number, expected: number) => Math.abs(actual - expected) < 1e-9 * Math.abs(expected);

test("the paper's linear evaluation has a grid of 16 heads", (t) => {
  const heads = headChoices(LINEAR_PROTOCOL);
  t.is(heads.length, 16);
  t.is(new Set(heads.map((head) => JSON.stringify(head))).size, 16);
});

test('the learning rate is scaled by the batch and divided by 10 at the epochs of the schedule', (t) => {
  const at = (epoch: number) => learningRateAt(LINEAR_PROTOCOL, epoch * 78, 78, 16_384);
  t.true(isClose(at(0), 6.4)); // 0.1 * 16384 / 256
  t.true(isClose(at(15 - 1 / 78), 6.4));
  t.true(isClose(at(15), 0.64));
  t.true(isClose(at(30), 0.064));
  t.true(isClose(at(45), 0.0064));
  t.true(isClose(learningRateAt(LINEAR_PROTOCOL, 0, 1, 12_811), (0.1 * 12_811) / 256));
});

test('the cosine falls from the learning rate to its final part by steps', (t) => {
  const at = (step: number) => learningRateAt(COSINE, step, 10, 256);
  t.true(isClose(at(0), 0.01));
  t.true(isClose(at(250), 0.01 * (0.01 + 0.99 / 2)));
  t.true(isClose(at(500), 0.0001));
  for (let step = 0; step < 500; step++) t.true(at(step + 1) < at(step));
});

test('samples that fill no batch are one batch', (t) => {
  t.is(stepsPerEpoch(1000, 256), 3);
  t.is(stepsPerEpoch(100, 100), 1);
});

test('the quick protocol takes about 2000 steps on small data, and never more epochs than it needs on large', (t) => {
  for (const images of [5, 50, 500, 5000, 12_811, 50_000]) {
    const quick = quickProtocol(LINEAR_PROTOCOL, images, 10);
    const steps = quick.epochs * stepsPerEpoch(images, quick.batchSize);
    t.true(steps >= 2000 && steps < 2300, `${images}: ${steps}`);
    t.true(isClose(learningRateAt(quick, 0, 1, quick.batchSize), 6.4));
  }
  t.is(quickProtocol(LINEAR_PROTOCOL, 2_400_000, 205).epochs, 1);
  t.is(quickProtocol({ ...COSINE, epochs: 84 }, 437_513, 8142).epochs, 84); // as many as the paper's, no more
  t.is(quickProtocol(COSINE, 50_000, 100).batchSize, 256);
});

test('the quick protocol keeps the grid and the shape of the schedule', (t) => {
  const quick = quickProtocol(LINEAR_PROTOCOL, 12_811, 1000);
  t.deepEqual(headChoices(quick), headChoices(LINEAR_PROTOCOL));
  t.is(quick.schedule.kind, 'steps');
  const drops = quick.schedule.kind === 'steps' ? quick.schedule.atEpochs : [];
  t.deepEqual(
    drops.map((epoch) => epoch / quick.epochs),
    [0.3, 0.6, 0.9],
  );
  t.deepEqual(quickProtocol(COSINE, 500, 10).schedule, COSINE.schedule);
});

test('a rank counts the classes before the right one; doubt is no advantage', (t) => {
  t.is(rankOf([9, 0.1, 0.7, 0.2], 1, 3, 1), 0);
  t.is(rankOf([0.1, 0.7, 0.2], 0, 3, 0), 2);
  t.deepEqual(
    [0, 1, 2].map((right) => rankOf([0, 0, 0], 0, 3, right)),
    [2, 2, 2],
  ); // a tie counts against the model
  t.is(rankOf([0, Number.NaN, 0], 0, 3, 1), 2);
  t.is(rankOf([Number.NaN, 5, Number.NaN], 0, 3, 1), 2);
});

test('accuracies are percentages of ranks, the same for the same seed', (t) => {
  const ranks = Int32Array.from([0, 0, 0, 1, 4, 5, 9, 0]);
  const { top1, top5 } = accuracies(ranks, 7);
  t.is(top1.value, 50);
  t.is(top5.value, 75);
  t.true(top1.low < 50 && 50 < top1.high);
  t.deepEqual(accuracies(ranks, 7), { top1, top5 });
  t.deepEqual(accuracies(Int32Array.from([0, 0]), 7).top1, { value: 100, low: 100, high: 100 });
  t.deepEqual(accuracies(Int32Array.from([9, 9]), 7).top5, { value: 0, low: 0, high: 0 });
});

test('the interval agrees with resampling images one by one', (t) => {
  for (const [images, share] of [
    [400, 0.3],
    [60, 0.95],
    [5000, 0.004],
  ] as const) {
    const hits = Math.round(images * share);
    const { top1 } = accuracies(
      Int32Array.from({ length: images }, (_, at) => (at < hits ? 0 : 3)),
      0,
    );
    const stream = new RandomStream(1, 'resampling');
    const resampled = Array.from({ length: 1000 }, () => {
      let count = 0;
      for (let image = 0; image < images; image++) if (stream.integer(0, images - 1) < hits) count++;
      return (100 * count) / images;
    }).sort((a, b) => a - b);
    const deviation = 100 * Math.sqrt((share * (1 - share)) / images);
    t.true(Math.abs(top1.low - (resampled[25] as number)) < 0.4 * deviation, `${images}: ${top1.low}`);
    t.true(Math.abs(top1.high - (resampled[974] as number)) < 0.4 * deviation, `${images}: ${top1.high}`);
  }
});

test('the interval covers the true accuracy in about 95 of 100 cases', (t) => {
  let covered = 0;
  for (let seed = 0; seed < 400; seed++) {
    const stream = new RandomStream(seed, 'hits');
    const { top1 } = accuracies(
      Int32Array.from({ length: 500 }, () => (stream.chance(0.6) ? 0 : 1)),
      seed,
    );
    if (top1.low <= 60 && 60 <= top1.high) covered++;
  }
  t.true(covered >= 368 && covered <= 392, `${covered} of 400`);
});
