import test from 'ava';
import fc from 'fast-check';
import { emaDecay } from '../../core/methods/shared.js';
import { learningRateAt, SCHEDULE_NAMES, scheduleSteps, weightDecayAt } from '../../core/optim/schedules.js';

const LENGTH = { stepsPerEpoch: 10, epochs: 20, scheduleStretch: 1 };
const RATES = { startLearningRate: 2e-4, learningRate: 1e-3, finalLearningRate: 1e-6, warmupEpochs: 4 };
const DECAY = { weightDecay: 0.04, finalWeightDecay: 0.4, weightDecaySchedule: 'cosine' } as const;
const STEPS = scheduleSteps(LENGTH);
const EMA = emaDecay({ ema: 0.996, finalEma: 1 });
const close = (a: number, b: number) => Math.abs(a - b) < 1e-12;

test('the learning rate climbs linearly, peaks at the end of the warm-up and ends at its final value', (t) => {
  t.true(close(learningRateAt(20, RATES, LENGTH), (2e-4 + 1e-3) / 2));
  t.true(close(learningRateAt(40, RATES, LENGTH), 1e-3));
  t.true(close(learningRateAt(120, RATES, LENGTH), (1e-3 + 1e-6) / 2));
  t.true(close(learningRateAt(STEPS, RATES, LENGTH), 1e-6));
});

test('weight decay and the decay of a moving average go from their first to their last value', (t) => {
  for (const weightDecaySchedule of ['cosine', 'linear'] as const) {
    const rising = { ...DECAY, weightDecaySchedule };
    t.true(close(weightDecayAt(STEPS, rising, LENGTH), 0.4));
    t.true(close(weightDecayAt(STEPS / 2, rising, LENGTH), 0.22));
    t.true(close(weightDecayAt(STEPS, { ...rising, weightDecay: 0.4, finalWeightDecay: 0.04 }, LENGTH), 0.04));
  }
  // A quarter of the way: 0.4 - 0.36 (1 + cos 45 deg) / 2, and 0.04 + 0.36 / 4.
  t.true(close(weightDecayAt(STEPS / 4, DECAY, LENGTH), 0.09272077938642144));
  t.true(close(weightDecayAt(STEPS / 4, { ...DECAY, weightDecaySchedule: 'linear' }, LENGTH), 0.13));
  t.is(weightDecayAt(STEPS / 2, { ...DECAY, weightDecaySchedule: 'constant' }, LENGTH), 0.04);
  t.is(EMA(1, LENGTH), 0.996);
  t.true(close(EMA(STEPS + 1, LENGTH), 1));
});

test('schedules never leave the range of their ends, whatever the length', (t) => {
  const law = fc.property(
    fc.record({
      stepsPerEpoch: fc.integer({ min: 1, max: 50 }),
      epochs: fc.integer({ min: 1, max: 40 }),
      scheduleStretch: fc.double({ min: 1, max: 2, noNaN: true }),
    }),
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.constantFrom(...SCHEDULE_NAMES),
    (length, warmup, weightDecaySchedule) => {
      const rates = { ...RATES, warmupEpochs: warmup * length.epochs };
      return Array.from({ length: length.stepsPerEpoch * length.epochs }, (_, i) => i + 1).every((step) => {
        const learningRate = learningRateAt(step, rates, length);
        const weightDecay = weightDecayAt(step, { ...DECAY, weightDecaySchedule }, length);
        const decay = EMA(step, length);
        return (
          learningRate >= 1e-6 &&
          learningRate <= 1e-3 + 1e-12 &&
          weightDecay >= 0.04 &&
          weightDecay <= 0.4 &&
          decay >= 0.996 &&
          decay <= 1
        );
      });
    },
  );
  fc.assert(law);
  t.pass();
});

test('a stretched schedule is still on its way when the run ends', (t) => {
  const stretched = { ...LENGTH, scheduleStretch: 1.25 };
  t.true(learningRateAt(200, RATES, stretched) > learningRateAt(200, RATES, LENGTH) * 10);
  t.is(learningRateAt(200, RATES, stretched), learningRateAt(200, RATES, { ...LENGTH, epochs: 25 }));
});
