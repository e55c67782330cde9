import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { Matrix, solve } from 'ml-matrix';
import { RandomStream } from '../../core/base/random.js';
import type { Engine } from '../../core/engine/contract.js';
import { startEngine } from '../../core/engine/start.js';
import { type Tensor, type Tensor1D, type Tensor2D, tf } from '../../core/engine/tf.js';
import { confusionOf, percentWithin } from '../../core/eval/accuracy.js';
import {
  type GroupState,
  groupGradient,
  groupHeads,
  groupLogits,
  groupStep,
  initialGroupState,
  testLogits,
} from '../../core/eval/head-group.js';
import { type HeadTask, selectHead, trainHeads } from '../../core/eval/heads.js';
import { ridgeHead, ridgeSolution, sumsOf } from '../../core/eval/linear.js';
import { logisticRegression } from '../../core/eval/logistic.js';
import { nearestNeighbours } from '../../core/eval/neighbours.js';
import { type HeadChoice, headName, quickProtocol } from '../../core/eval/protocols.js';
import type { Samples } from '../../core/eval/samples.js';
import { larsStep } from '../../core/optim/momentum.js';
import type { HeadNorm, ProbeProtocol } from '../../core/plugin.js';
import {
  findEngines,
  firstOf,
  relativeDifference,
  testOnEngines,
  withoutCpu,
  withoutOpenvino,
} from '../helpers/engines.js';
import { ROOT } from '../helpers/paths.js';

const engines = withoutCpu(withoutOpenvino(await findEngines()));
const first = firstOf(engines);

interface GoldenCase {
  norm: HeadNorm;
  nesterov: boolean;
  weightDecay: number;
  optimiser: 'sgd' | 'lars';
  weight: number[];
  bias: number[];
  norms: Record<'mean' | 'variance' | 'scale' | 'shift', number[]> | null;
  testLogits: number[];
}

/** Computed with PyTorch by fixtures/heads/make_golden.py. */
const GOLDEN: {
  rows: number;
  width: number;
  classes: number;
  momentum: number;
  learningRates: number[];
  batches: number[][];
  labels: number[][];
  weight: number[];
  bias: number[];
  scale: number[];
  shift: number[];
  test: number[];
  cases: GoldenCase[];
} = JSON.parse(readFileSync(join(ROOT, 'fixtures', 'heads', 'golden.json'), 'utf8'));

const PROTOCOL: ProbeProtocol = {
  optimiser: 'sgd',
  epochs: 30,
  batchSize: 32,
  baseLearningRate: 0.8,
  schedule: { kind: 'steps', atEpochs: [20] },
  momentum: 0.9,
  nesterov: true,
  weightDecays: [0.0005, 0],
  learningRateFactors: [1, 0.1],
  features: ['last', 'last-4'],
  norms: ['batch', 'none'],
  transform: 'crop',
};

function choice(norm: HeadNorm, weightDecay: number): HeadChoice {
  return { features: 'last', norm, learningRateFactor: 1, weightDecay };
}

/** Clouds around a centre for each class; with a spread well below 1, planes part them. */
function clouds(rows: number, spread: number, seed = 0, { classes = 4, width = 6, layers = 2 } = {}): Samples {
  const centres = new RandomStream(0, 'centres');
  const centre = Array.from({ length: classes * width * layers }, () => centres.normal());
  const stream = new RandomStream(seed, 'cloud');
  const labels = Int32Array.from({ length: rows }, () => stream.integer(0, classes - 1));
  const columns = width * layers;
  const data = Float32Array.from({ length: rows * columns }, (_, at) => {
    const label = labels[Math.floor(at / columns)] as number;
    return (centre[label * columns + (at % columns)] as number) + spread * stream.normal();
  });
  return { rows, width, layers, data, labels };
}

async function train(engine: Engine, change: Partial<ProbeProtocol> = {}, task: Partial<HeadTask> = {}) {
  const samples = clouds(200, 0.2, 1);
  const protocol = { ...PROTOCOL, ...change };
  return trainHeads(engine, {
    train: async () => samples,
    test: clouds(50, 0.2, 2),
    classes: 4,
    protocol,
    seed: 3,
    ...task,
  });
}

for (const norm of ['none', 'batch'] as const) {
  for (const [optimiser, nesterov] of [
    ['sgd', true],
    ['sgd', false],
    ['lars', false],
  ] as const) {
    testOnEngines(
      test,
      norm === 'batch' ? engines : first,
      `steps give PyTorch's weights, running statistics and logits (${optimiser}, Nesterov ${nesterov}, norm ${norm})`,
      async (t, engine) => {
        const { width, classes, rows, momentum } = GOLDEN;
        const cases = GOLDEN.cases.filter(
          (one) => one.norm === norm && one.optimiser === optimiser && one.nesterov === nesterov,
        );
        t.is(cases.length, 2); // with and without weight decay, here two heads side by side
        const [group] = groupHeads(
          cases.map(({ weightDecay }) => choice(norm, weightDecay)),
          width,
          1,
          classes,
        );
        if (!group) return t.fail();
        const twice = (values: number[]) => tf.tensor2d([...values, ...values], [2, values.length]);
        const size = width * classes;
        let state: GroupState = {
          weight: { value: twice(GOLDEN.weight), velocity: tf.zeros([2, size]) },
          bias: { value: twice(GOLDEN.bias), velocity: tf.zeros([2, classes]) },
          ...(norm === 'batch' && {
            norm: {
              running: { mean: tf.zeros([1, width]), variance: tf.ones([1, width]) },
              scale: { value: twice(GOLDEN.scale), velocity: tf.zeros([2, width]) },
              shift: { value: twice(GOLDEN.shift), velocity: tf.zeros([2, width]) },
            },
          }),
        };
        const step = engine.compile((s: GroupState, x: Tensor2D, y: Tensor1D, rates: Tensor) =>
          groupStep(group, { optimiser, nesterov, momentum }, s, x, y, rates),
        );
        for (const [at, batch] of GOLDEN.batches.entries()) {
          const x = tf.tensor2d(batch, [rows, width]);
          const y = tf.tensor1d(GOLDEN.labels[at] as number[], 'int32');
          state = await step(state, x, y, tf.fill([2, 1], GOLDEN.learningRates[at] as number));
        }
        const weights = await state.weight.value.data();
        const biases = await state.bias.value.data();
        const logits = testLogits(group, state, tf.tensor2d(GOLDEN.test, [rows, width]));
        for (const [head, expected] of cases.entries()) {
          t.true(relativeDifference(weights.slice(head * size, (head + 1) * size), expected.weight) < 1e-5);
          t.true(relativeDifference(biases.slice(head * classes, (head + 1) * classes), expected.bias) < 1e-5);
          const own = await logits.slice([0, head * classes], [rows, classes]).data();
          t.true(relativeDifference(own, expected.testLogits) < 1e-5);
          t.is(state.norm !== undefined, expected.norms !== null);
          if (!state.norm || !expected.norms) continue;
          const { running, scale, shift } = state.norm;
          t.true(relativeDifference(await running.mean.data(), expected.norms.mean) < 1e-5);
          t.true(relativeDifference(await running.variance.data(), expected.norms.variance) < 1e-5);
          const ofHead = async ({ value }: { value: Tensor }) =>
            (await value.data()).slice(head * width, (head + 1) * width);
          t.true(relativeDifference(await ofHead(scale), expected.norms.scale) < 1e-5);
          t.true(relativeDifference(await ofHead(shift), expected.norms.shift) < 1e-5);
        }
      },
    );
  }
}

testOnEngines(
  test,
  engines,
  "the gradient is TensorFlow.js's own and agrees with finite differences",
  async (t, engine) => {
    const [rows, width, classes] = [5, 4, 3];
    const stream = new RandomStream(0, 'gradient');
    const normal = (shape: [number, number]) =>
      tf.tensor2d(
        Float32Array.from({ length: shape[0] * shape[1] }, () => stream.normal()),
        shape,
      );
    const [group] = groupHeads([choice('none', 0), choice('none', 1)], width, 1, classes);
    if (!group) return t.fail();
    const [x, w, b] = [normal([rows, width]), normal([2, classes * width]), normal([2, classes])];
    const y = tf.tensor1d([0, 2, 1, 1, 0], 'int32');
    const stateOf = (weight: Tensor, bias: Tensor): GroupState => ({
      weight: { value: weight, velocity: weight },
      bias: { value: bias, velocity: bias },
    });
    const loss = (weight: Tensor, bias: Tensor) =>
      tf.tidy(() => {
        const logits = groupLogits(group, stateOf(weight, bias), x).reshape([rows, 2, classes]);
        const targets = tf.oneHot(y, classes).reshape([rows, 1, classes]);
        return tf
          .logSoftmax(logits)
          .mul(targets)
          .sum()
          .mul(-1 / rows)
          .asScalar(); // of both heads
      });
    const gradient = await engine.compile((s: GroupState) => groupGradient(group, s, x, y))(stateOf(w, b));
    const [ofWeight, ofBias] = tf.grads((weight: Tensor, bias: Tensor) => loss(weight, bias))([w, b]);
    const own = await gradient.weight.data();
    t.true(relativeDifference(own, await (ofWeight as Tensor).data()) < 1e-5);
    t.true(relativeDifference(await gradient.bias.data(), await (ofBias as Tensor).data()) < 1e-5);
    for (const at of [0, 7, 13, 23]) {
      const bump = tf.oneHot(tf.scalar(at, 'int32'), w.size).reshape(w.shape).mul(0.05);
      const [up] = await loss(w.add(bump), b).data();
      const [down] = await loss(w.sub(bump), b).data();
      const numeric = ((up as number) - (down as number)) / 0.1;
      t.true(Math.abs(numeric - (own[at] as number)) < 2e-3, `${at}: ${numeric}, ${own[at]}`);
    }
  },
);

testOnEngines(test, engines, 'LARS takes a plain step where weights or gradients are zero', async (t) => {
  const settings = { optimiser: 'lars', momentum: 0.9, nesterov: false } as const;
  const moving = { value: tf.tensor2d([0, 0, 1, 1], [2, 2]), velocity: tf.zeros([2, 2]) };
  const gradient = tf.tensor2d([1, 2, 0, 0], [2, 2]);
  const { value } = larsStep(moving, gradient, tf.fill([2, 1], 0.1), tf.zeros([2, 1]), settings);
  t.true(relativeDifference(await value.data(), [-0.1, -0.2, 1, 1]) < 1e-6);
});

testOnEngines(test, first, 'every head of the grid learns to part separable clouds', async (t, engine) => {
  const before = tf.memory().numTensors;
  const epochs: number[] = [];
  const heads = await train(engine, {}, { onEpoch: (epoch, _, best) => epochs.push(epoch + best / 1000) });
  t.is(heads.length, 16);
  t.is(new Set(heads.map(({ name }) => name)).size, 16);
  for (const { name, curve, ranks } of heads) {
    t.is(curve.length, 30);
    t.is(curve.at(-1), 100, name);
    t.deepEqual([...ranks], Array(50).fill(0), name);
  }
  t.is(epochs.length, 30);
  t.is(epochs.at(-1), 30.1);
  t.is(tf.memory().numTensors, before);
});

testOnEngines(test, first, 'LARS learns to part separable clouds', async (t, engine) => {
  const heads = await train(engine, { optimiser: 'lars', baseLearningRate: 300, learningRateFactors: [1] });
  for (const { name, curve } of heads) t.is(curve.at(-1), 100, name);
});

testOnEngines(test, engines, 'a head trained alone equals the same head in a grid', async (t, engine) => {
  // Overlapping clouds and few epochs: ranks that differ from sample to sample.
  const task = { test: clouds(300, 1.5, 2) };
  const together = await train(engine, { epochs: 2 }, task);
  for (const head of together) {
    const { features, norm, learningRateFactor, weightDecay } = head.choice;
    const [alone] = await train(
      engine,
      {
        epochs: 2,
        features: [features],
        norms: [norm],
        learningRateFactors: [learningRateFactor],
        weightDecays: [weightDecay],
      },
      task,
    );
    t.is(alone?.name, head.name);
    t.deepEqual(alone?.curve, head.curve);
    t.deepEqual(alone?.ranks, head.ranks);
  }
  t.true(new Set(together.map(({ ranks }) => ranks.join())).size > 4);
});

testOnEngines(test, first, 'the same task gives the same ranks, another seed gives others', async (t, engine) => {
  const task = { test: clouds(300, 1.5, 2) };
  const ranks = async (seed: number) =>
    (await train(engine, { epochs: 2 }, { ...task, seed })).map((head) => head.ranks.join());
  const first = await ranks(3);
  t.deepEqual(await ranks(3), first);
  t.notDeepEqual(await ranks(4), first);
});

testOnEngines(test, first, 'fewer samples than a batch are one batch', async (t, engine) => {
  const few = clouds(20, 0.1, 1);
  const heads = await train(
    engine,
    { batchSize: 16_384, baseLearningRate: 1, epochs: 60, schedule: { kind: 'cosine', finalPart: 0.01 } },
    { train: async () => few, test: few },
  );
  for (const {
    name,
    curve,
    choice: { learningRateFactor },
  } of heads) {
    if (learningRateFactor === 1) t.is(curve.at(-1), 100, name);
  }
});

testOnEngines(test, first, 'each epoch asks for its own samples, and an abort stops', async (t, engine) => {
  const asked: number[] = [];
  const before = tf.memory().numTensors;
  const controller = new AbortController();
  const failure = train(
    engine,
    {},
    {
      train: async (epoch) => {
        asked.push(epoch);
        if (epoch === 2) controller.abort(new Error('stopped'));
        return clouds(64, 0.2, epoch);
      },
      signal: controller.signal,
    },
  );
  await t.throwsAsync(failure, { message: 'stopped' });
  t.is(tf.memory().numTensors, before);
  t.deepEqual(asked, [0, 1, 2]);
});

testOnEngines(test, first, 'an abort from outside gets through in the middle of an epoch', async (t, engine) => {
  const controller = new AbortController();
  const many = clouds(20_000, 0.2, 1);
  const before = tf.memory().numTensors;
  let epochs = 0;
  const failure = train(
    engine,
    { batchSize: 8 },
    {
      train: async () => {
        setTimeout(() => controller.abort(new Error('stopped')), 20);
        return many;
      },
      onEpoch: () => {
        epochs++;
      },
      signal: controller.signal,
    },
  );
  await t.throwsAsync(failure, { message: 'stopped' });
  t.is(epochs, 0);
  t.is(tf.memory().numTensors, before);
});

testOnEngines(test, engines, 'ridge regression solves the normal equations', async (t, engine) => {
  const [rows, width, classes] = [150, 6, 4];
  const samples = clouds(rows, 0.8, 1);
  const last = (row: number) => [...samples.data.subarray((2 * row + 1) * width, (2 * row + 2) * width)];
  const inputs = { samples, features: 'last' } as const;
  const all = Uint32Array.from({ length: rows }, (_, at) => at);
  const solution = ridgeSolution(await sumsOf(engine, inputs, classes), 0.05);
  const x = new Matrix(all.length, width);
  const y = new Matrix(all.length, classes);
  for (const row of all) {
    x.setRow(row, last(row));
    y.set(row, samples.labels[row] as number, 1);
  }
  const means = x.mean('column');
  const fractions = y.mean('column');
  const xc = x.clone().subRowVector(means);
  const gram = xc.transpose().mmul(xc).div(rows).add(Matrix.eye(width, width).mul(0.05));
  const expected = solve(gram, xc.transpose().mmul(y.clone().subRowVector(fractions)).div(rows));
  t.true(relativeDifference(solution?.weight ?? [], expected.to1DArray()) < 1e-5);
  const bias = fractions.map(
    (fraction, c) => fraction - means.reduce((sum, mean, d) => sum + mean * expected.get(d, c), 0),
  );
  t.true(relativeDifference(solution?.bias ?? [], bias) < 1e-5);
});

testOnEngines(
  test,
  engines,
  'the ridge head parts clouds, whatever their scale, and without leaks',
  async (t, engine) => {
    const scaled = (samples: Samples): Samples => ({
      ...samples,
      data: samples.data.map((value, at) => (at % 12 === 11 ? 7 : value * 10 ** ((at % 12) - 6) + 3)),
    });
    const before = tf.memory().numTensors;
    const ranks = await ridgeHead(engine, scaled(clouds(200, 0.15, 1)), scaled(clouds(100, 0.15, 2)), 4);
    t.true(percentWithin(ranks, 1) > 97, `${percentWithin(ranks, 1)}`);
    t.is((await ridgeHead(engine, clouds(5, 0.1, 1), clouds(3, 0.1, 2), 4)).length, 3); // too few to hold any out
    t.is(tf.memory().numTensors, before);
  },
);

testOnEngines(test, engines, 'nearest neighbours are those of a search through all', async (t, engine) => {
  const [classes, width] = [7, 5];
  const of = (rows: number, seed: number) => clouds(rows, 1.2, seed, { classes, width, layers: 1 });
  const [reference, queries] = [of(9000, 1), of(20, 2)]; // more than one block of training samples
  const before = tf.memory().numTensors;
  const found = await nearestNeighbours(engine, reference, queries, classes, {
    ks: [1, 20, 200, 10_000],
    temperature: 0.07,
  });
  t.is(tf.memory().numTensors, before);
  t.deepEqual([...found.keys()], [1, 20, 200]); // 10,000 are more than there are
  const row = ({ data }: Samples, at: number) => data.subarray(at * width, (at + 1) * width);
  const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, d) => sum + value * (b[d] as number), 0);
  for (let at = 0; at < queries.rows; at++) {
    const query = row(queries, at);
    const similar = Array.from({ length: reference.rows }, (_, other) => {
      const key = row(reference, other);
      const similarity = dot(query, key) / Math.sqrt(dot(query, query) * dot(key, key));
      return { similarity, label: reference.labels[other] as number };
    }).sort((a, b) => b.similarity - a.similarity);
    const right = queries.labels[at] as number;
    for (const [k, { ranks }] of found) {
      const votes = Array<number>(classes).fill(0);
      for (const { similarity, label } of similar.slice(0, k)) {
        votes[label] = (votes[label] as number) + Math.exp(similarity / 0.07);
      }
      const own = votes[right] as number;
      t.is(ranks[at], own === 0 ? classes - 1 : votes.filter((vote) => vote > own).length, `k ${k}, query ${at}`);
    }
  }
});

testOnEngines(test, first, 'features that are no numbers are recognised by nobody', async (t, engine) => {
  const reference = clouds(40, 0.1, 1, { layers: 1 });
  const broken = { ...clouds(3, 0.1, 2, { layers: 1 }), data: new Float32Array(18).fill(Number.NaN) };
  const found = await nearestNeighbours(engine, reference, broken, 4, { ks: [5], temperature: 0.07 });
  t.true(found.get(5)?.predicted.every((named, at) => named !== broken.labels[at]));
  t.deepEqual([...(found.get(5)?.ranks ?? [])], [3, 3, 3]);
  const heads = await train(engine, { epochs: 1, features: ['last'] }, { train: async () => reference, test: broken });
  for (const head of heads) t.deepEqual([...head.ranks], [3, 3, 3], head.name);
  t.deepEqual([...(await ridgeHead(engine, reference, broken, 4))], [3, 3, 3]);
  await t.throwsAsync(() => ridgeHead(engine, broken, reference, 4), { message: /not finite/ });
});

test('heads are named by their choices', (t) => {
  t.is(headName({ ...choice('batch', 0.0005) }), 'last, batch norm, lr 1x, wd 0.0005');
  t.is(
    headName({ features: 'last-4', norm: 'none', learningRateFactor: 0.1, weightDecay: 0 }),
    'last-4, no norm, lr 0.1x, wd 0',
  );
});

testOnEngines(test, first, 'on noise, a head chosen on held-out samples is as good as chance', async (t, engine) => {
  const noise = (rows: number, seed: number): Samples => {
    const stream = new RandomStream(seed, 'noise');
    const data = Float32Array.from({ length: rows * 12 }, () => stream.normal());
    return { rows, width: 6, layers: 2, data, labels: Int32Array.from({ length: rows }, () => stream.integer(0, 3)) };
  };
  const above = { validation: 0, test: 0 };
  for (let seed = 0; seed < 8; seed++) {
    const [train, test] = [noise(100, seed), noise(60, 100 + seed)];
    for (const selection of ['validation', 'test'] as const) {
      const task = { train: async () => train, test, classes: 4, protocol: { ...PROTOCOL, epochs: 2 }, seed };
      const { heads, best } = await selectHead(engine, task, { selection, plain: train });
      t.is(heads.length, 16);
      t.is(heads[0]?.ranks.length, selection === 'validation' ? 10 : 60);
      above[selection] += (percentWithin(best.ranks, 1) - 25) / 8;
    }
  }
  t.true(above.test > 4, `${above.test}`);
  t.true(above.validation < above.test - 2.5, `${above.validation}, ${above.test}`);
});

testOnEngines(test, first, 'a chosen head is the one that is trained alone on all samples', async (t, engine) => {
  const [train, test] = [clouds(200, 1.2, 1), clouds(100, 1.2, 2)];
  const asked: number[] = [];
  const before = tf.memory().numTensors;
  const task = {
    train: async (epoch: number) => {
      asked.push(epoch);
      return train;
    },
    test,
    classes: 4,
    protocol: { ...PROTOCOL, epochs: 2 },
    seed: 3,
  };
  const { heads, best } = await selectHead(engine, task, { selection: 'validation', plain: train });
  const top = Math.max(...heads.map(({ curve }) => curve[1] as number));
  t.is(heads.find(({ curve }) => curve[1] === top)?.name, best.name);
  const [alone] = await trainHeads(engine, { ...task, choices: [best.choice] });
  t.deepEqual(alone?.ranks, best.ranks);
  const { counts = [] } = confusionOf(best.predicted, test.labels, ['a', 'b', 'c', 'd']) ?? {};
  const rightOf = (label: number) => best.ranks.filter((rank, at) => rank === 0 && test.labels[at] === label).length;
  t.deepEqual(
    counts.map((row, label) => row[label]),
    [0, 1, 2, 3].map(rightOf),
    'named rightly is rank 0',
  );
  const labelled = (label: number) => test.labels.filter((one) => one === label).length;
  t.deepEqual(
    counts.map((row) => row.reduce((sum, count) => sum + count, 0)),
    [0, 1, 2, 3].map(labelled),
  );
  t.deepEqual(asked.slice(0, 4), [0, 1, 0, 1]);
  // Other test labels change the head that is chosen on the test samples alone.
  const turned = { ...test, labels: test.labels.map((label) => (label + 1) % 4) };
  const again = await selectHead(engine, { ...task, test: turned }, { selection: 'validation', plain: train });
  t.is(again.best.name, best.name);
  t.is(tf.memory().numTensors, before);
});

testOnEngines(test, first, 'the quick protocol converges on features that repeat one another', async (t, engine) => {
  // Eight columns of two directions: the class lies in their small differences.
  const repeated = (rows: number, seed: number): Samples => {
    const { data, labels } = clouds(rows, 0.3, seed, { width: 2, layers: 1 });
    const stream = new RandomStream(seed, 'repeated');
    const columns = Float32Array.from({ length: rows * 8 }, () => 0);
    for (let row = 0; row < rows; row++) {
      const shared = 4 * stream.normal();
      for (let at = 0; at < 8; at++)
        columns[row * 8 + at] = shared + (data[row * 2 + (at % 2)] as number) * (1 + (at % 3));
    }
    return { rows, width: 4, layers: 2, data: columns, labels };
  };
  const [train, test] = [repeated(400, 1), repeated(200, 2)];
  const protocol = quickProtocol(PROTOCOL, train.rows, 4);
  const heads = await trainHeads(engine, { train: async () => train, test, classes: 4, protocol, seed: 0 });
  const { ranks } = await logisticRegression(engine, train, test, 4);
  const reached = Math.max(...heads.map(({ curve }) => curve.at(-1) as number));
  t.true(reached > percentWithin(ranks, 1) - 2, `${reached}, logistic regression ${percentWithin(ranks, 1)}`);
  t.true(percentWithin(ranks, 1) > 80);
});

test("heads start as PyTorch's nn.Linear, alike in any company", async (t) => {
  await startEngine('cpu');
  const width = 400;
  const choices = [choice('batch', 0), choice('none', 0)];
  const [batch, none] = groupHeads(choices, width, 1, 10).map((group) => initialGroupState(group, 5));
  for (const state of [batch, none]) {
    if (!state) return t.fail();
    const weights = (await state.weight.value.data()) as Float32Array;
    const bound = 1 / Math.sqrt(width); // kaiming_uniform_ with a = √5, and the bias's own rule
    for (const values of [weights, await state.bias.value.data()])
      t.true(values.every((value) => Math.abs(value) <= bound));
    const std = Math.sqrt(weights.reduce((sum, value) => sum + value ** 2 / weights.length, 0));
    t.true(Math.abs(std / (bound / Math.sqrt(3)) - 1) < 0.05); // uniform
  }
  t.true((await batch?.norm?.scale.value.data())?.every((value) => value === 1));
  const [alone] = groupHeads(choices.slice(1), width, 1, 10).map((group) => initialGroupState(group, 5));
  t.deepEqual(await alone?.weight.value.data(), await none?.weight.value.data());
});
