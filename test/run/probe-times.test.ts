import test from 'ava';
import fc from 'fast-check';
import { ProbeTimes } from '../../core/run/probe-times.js';

/** The steps of a run after which it is probed, where a step takes a second and a probe so many. */
function probedSteps(
  totalSteps: number,
  every: number | null,
  cost: number,
  from = 0,
  last = { step: 0, seconds: cost },
) {
  const times = new ProbeTimes(every, totalSteps, last);
  const probed: number[] = [];
  for (let step = from + 1; step <= totalSteps; step++) {
    const isDue = times.isDueAfter(step);
    times.tookStep(step, 1);
    if (!isDue) continue;
    probed.push(step);
    times.tookProbe({ step, seconds: cost });
  }
  return probed;
}

test('a run is probed every few steps, and after the last one', (t) => {
  t.deepEqual(probedSteps(12, 5, 100), [5, 10, 12]);
  t.deepEqual(probedSteps(10, 5, 100), [5, 10]);
  t.deepEqual(probedSteps(4, 5, 100), [4]);
  t.deepEqual(probedSteps(12, 5, 100, 7), [10, 12], 'one that goes on is probed after the same steps');
});

test('left to the time that it takes, probing takes less than 5% of a run of 60 probes or more, whatever they take', (t) => {
  const law = fc.property(
    fc.double({ min: 0.001, max: 500, noNaN: true }),
    fc.integer({ min: 60, max: 600 }),
    (cost, times) => {
      const totalSteps = Math.ceil(Math.max(cost * times, 400));
      const probed = probedSteps(totalSteps, null, cost);
      const taken = (probed.length + 1) * cost; // with the one before the first step
      return probed.at(-1) === totalSteps && taken <= 0.05 * totalSteps + 1e-9;
    },
  );
  fc.assert(law, { numRuns: 300 });
  t.deepEqual(probedSteps(100, null, 50), [100], 'a run that is shorter is probed before and after');
});

test('a run that goes on counts from its last probe', (t) => {
  const whole = probedSteps(4000, null, 20);
  t.deepEqual(whole, [1200, 2400, 4000]);
  const resumed = probedSteps(4000, null, 20, 1700, { step: 1200, seconds: 20 });
  t.deepEqual(
    resumed,
    whole.filter((step) => step > 1700),
  );
});
