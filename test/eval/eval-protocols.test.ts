import test from 'ava';
import { RandomStream } from '../../core/base/random.js';
import { accuracies, rankOf } from '../../core/eval/accuracy.js';
import {
  headChoices,
  LINEAR_PROTOCOL,
  learningRateAt,
  quickProtocol,
  stepsPerEpoch,
} from '../../core/eval/protocols.js';
import type { ProbeProtocol } from '../../core/plugin.js';

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

test('a cosine falls once an epoch as in VISSL, or at every step', (t) => {
  const at = (step: number) => learningRateAt(COSINE, step, 10, 256);
  t.true(isClose(at(0), 0.01));
  for (const step of [1, 9]) t.is(at(step), at(0));
  t.true(at(10) < at(9));
  t.true(isClose(at(250), 0.01 * (0.01 + 0.99 / 2)));
  t.true(isClose(at(499), 0.01 * (0.01 + (0.99 / 2) * (1 + Math.cos((Math.PI * 49) / 50)))));
  const bySteps: ProbeProtocol = { ...COSINE, schedule: { kind: 'cosine', finalPart: 0.01, by: 'steps' } };
  for (let step = 0; step < 500; step++) {
    t.true(learningRateAt(bySteps, step + 1, 10, 256) < learningRateAt(bySteps, step, 10, 256));
  }
});

test("an epoch's last batch has what is left", (t) => {
  t.is(stepsPerEpoch(1000, 256), 4);
  t.is(stepsPerEpoch(1024, 256), 4);
  t.is(stepsPerEpoch(100, 100), 1);
});

test('the quick protocol takes about 1000 steps on small data, and never more epochs than it needs on large', (t) => {
  for (const images of [5, 50, 500, 5000, 12_811, 50_000]) {
    const quick = quickProtocol(LINEAR_PROTOCOL, images, 10);
    const steps = quick.epochs * stepsPerEpoch(images, quick.batchSize);
    t.true(steps >= 1000 && steps < 1200, `${images}: ${steps}`);
    t.true(isClose(learningRateAt(quick, 0, 1, quick.batchSize), 1));
  }
  t.is(quickProtocol(LINEAR_PROTOCOL, 2_400_000, 205).epochs, 1);
  t.is(quickProtocol({ ...COSINE, epochs: 84 }, 437_513, 8142).epochs, 84); // as many as the paper's, no more
  t.is(quickProtocol(COSINE, 50_000, 100).batchSize, 256);
  t.deepEqual(headChoices(quickProtocol(LINEAR_PROTOCOL, 12_811, 1000)), headChoices(LINEAR_PROTOCOL));
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

/** As many right images, and some whose class was third. */
function ranksWith(hits: number, images: number): Int32Array {
  return Int32Array.from({ length: images }, (_, at) => (at < hits ? 0 : 2));
}

test('accuracies are percentages of ranks', (t) => {
  const { top1, top5 } = accuracies(Int32Array.from([0, 0, 0, 1, 4, 5, 9, 0]));
  t.is(top1.value, 50);
  t.is(top5.value, 75);
});

test("intervals are Wilson's, which are no points at 0% and 100%", (t) => {
  // SciPy 1.17: binomtest(hits, images).proportion_ci(0.95, 'wilson')
  for (const [hits, images, low, high] of [
    [0, 2, 0, 65.762],
    [2, 2, 34.238, 100],
    [0, 500, 0, 0.7624],
    [500, 500, 99.2376, 100],
    [131, 512, 21.9979, 29.5376],
    [4, 8, 21.5216, 78.4784],
    [38_123, 50_000, 75.871, 76.617],
  ] as const) {
    const { top1 } = accuracies(ranksWith(hits, images));
    t.true(Math.abs(top1.low - low) < 1e-3 && Math.abs(top1.high - high) < 1e-3, `${hits} of ${images}`);
    t.true(top1.low <= top1.value && top1.value <= top1.high);
  }
});

test('an interval covers the true accuracy in about 95 of 100 cases, near 100% too', (t) => {
  for (const [fraction, images] of [
    [0.6, 500],
    [0.99, 100],
  ] as const) {
    let covered = 0;
    for (let seed = 0; seed < 400; seed++) {
      const stream = new RandomStream(seed, 'hits');
      const hits = Array.from({ length: images }).filter(() => stream.chance(fraction)).length;
      const { top1 } = accuracies(ranksWith(hits, images));
      if (top1.low <= 100 * fraction && 100 * fraction <= top1.high) covered++;
    }
    t.true(covered >= 364 && covered <= 392, `${covered} of 400`);
  }
});
