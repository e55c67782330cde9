import test from 'ava';
import { BUCKET } from '../../core/train/communicator/sum.js';
import { timeSum } from '../../core/train/communicator/time-sum.js';
import { type Network, predictStep, type ScalingLaw, type StepCosts } from '../../core/train/scaling.js';
import { inRanks } from '../helpers/ranks.js';

const COSTS: StepCosts = {
  images: 64,
  computeSeconds: 2,
  fixedSeconds: 0.1,
  numbers: 3 * BUCKET,
  wire: 'float32',
  secondsPerNumber: 1e-9,
};
const NETWORK: Network = { gigabitsPerSecond: 10, latencyMicroseconds: 30 };
const IDEAL: Network = { gigabitsPerSecond: Number.POSITIVE_INFINITY, latencyMicroseconds: 0 };
const LAWS = ['strong', 'weak'] as const satisfies readonly ScalingLaw[];

function predict(costs: Partial<StepCosts>, network: Partial<Network>, ranks: number, law: ScalingLaw) {
  const prediction = predictStep({ ...COSTS, ...costs }, { ...NETWORK, ...network }, ranks, law);
  if (!prediction) throw new Error('there are fewer images than ranks');
  return prediction;
}

const isNear = (a: number, b: number) => Math.abs(a - b) <= 1e-9 * Math.abs(b);

test('one rank exchanges nothing and takes its step as it was measured', (t) => {
  for (const law of LAWS) {
    const { secondsPerStep, exchangeSeconds, sentBytes, efficiency } = predict({}, {}, 1, law);
    t.deepEqual([secondsPerStep, exchangeSeconds, sentBytes, efficiency], [2.1, 0, 0, 1]);
  }
});

test('without a cost of the exchange, computing is divided and updates are not', (t) => {
  for (const ranks of [2, 3, 16, 64]) {
    const strong = predict({ secondsPerNumber: 0 }, IDEAL, ranks, 'strong');
    t.true(isNear(strong.secondsPerStep, (2 * Math.ceil(64 / ranks)) / 64 + 0.1));
    const weak = predict({ secondsPerNumber: 0 }, IDEAL, ranks, 'weak');
    t.deepEqual([weak.secondsPerStep, weak.batchSize], [2.1, 64 * ranks]);
    t.true(isNear(weak.efficiency, 1));
  }
});

test('the bytes are those that a rank has been seen to send', async (t) => {
  for (const wire of ['float32', 'bfloat16'] as const) {
    for (const ranks of [2, 3, 4]) {
      const sent = await inRanks(ranks, async (communicator) => {
        await communicator.sum([new Float32Array(12_000)], wire);
        return communicator.traffic.bytes;
      });
      const { sentBytes } = predict({ numbers: 12_000, wire }, {}, ranks, 'weak');
      t.deepEqual(sent, Array<number>(ranks).fill(sentBytes), `${ranks} ranks, ${wire}`);
    }
  }
});

test('a bucket alone travels, is summed and travels; of several, the one is summed while another travels', (t) => {
  const network = { gigabitsPerSecond: 8, latencyMicroseconds: 0 };
  const travel = (BUCKET * 4) / 2 / 1e9;
  const sum = BUCKET * COSTS.secondsPerNumber;
  t.true(isNear(predict({ numbers: BUCKET }, network, 2, 'weak').exchangeSeconds, 2 * travel + sum));
  t.true(sum < travel);
  t.true(isNear(predict({}, network, 2, 'weak').exchangeSeconds, 6 * travel + sum));
});

test('a step takes longer with more latency, less bandwidth, slower sums and more numbers', (t) => {
  for (const law of LAWS) {
    for (const ranks of [2, 5, 64]) {
      const { secondsPerStep } = predict({}, {}, ranks, law);
      for (const [costs, network] of [
        [{}, { latencyMicroseconds: 31 }],
        [{}, { gigabitsPerSecond: 9 }],
        [{ secondsPerNumber: 2e-9 }, {}],
        [{ numbers: 4 * BUCKET }, {}],
      ] as const) {
        t.true(predict(costs, network, ranks, law).secondsPerStep > secondsPerStep);
      }
      t.true(predict({ wire: 'bfloat16' }, {}, ranks, law).secondsPerStep < secondsPerStep);
    }
  }
});

test('a batch is not divided among more ranks than it has images', (t) => {
  t.is(predictStep(COSTS, NETWORK, 65, 'strong'), null);
  t.is(predictStep(COSTS, NETWORK, 65, 'weak')?.batchSize, 64 * 65);
});

test('the own work on a sum is timed as seconds for each number', async (t) => {
  const seconds = await timeSum('float32');
  t.true(seconds > 1e-11 && seconds < 1e-6, `${seconds}`);
});
