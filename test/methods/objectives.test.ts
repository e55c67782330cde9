import test from 'ava';
import fc from 'fast-check';
import { UserError } from '../../core/base/errors.js';
import { RandomStream } from '../../core/base/random.js';
import { resolveOptions } from '../../core/config/resolve.js';
import { type Tensor, tf } from '../../core/engine/tf.js';
import { drawNumbers, predictionLoss, regularizationOf, tryExtensions } from '../../core/methods/losses.js';
import type { Tensors } from '../../core/methods/method.js';
import { METHODS } from '../../core/methods/registry.js';
import { type Extension, findExtension } from '../../core/plugins/plugin.js';
import { withAdvice } from '../../core/run/step-advice.js';
import { initialNetworks } from '../../core/train/state.js';
import { NotFinite } from '../../core/train/step.js';
import template from '../../plugins/_template/index.js';
import { BUILT_IN_PLUGINS } from '../../plugins/index.js';
import { findEngines, firstOf, relativeDifference, testOnEngines, withoutCpu } from '../helpers/engines.js';
import { methodOf } from '../helpers/method.js';
import { noiseBatch, numberOf, prepareBatchGradients } from '../helpers/training.js';

const engines = withoutCpu(await findEngines());
const PLUGINS = [...BUILT_IN_PLUGINS, template];

async function lossOf(name: string, predicted: number[], target: number[]): Promise<number> {
  const shape = [1, 1, predicted.length];
  const loss = findExtension('loss', name, PLUGINS);
  return numberOf(predictionLoss(loss, tf.tensor(predicted, shape), tf.tensor(target, shape)));
}

/** A regularizer on rows of some width, and what it draws. */
function regularizerOf(name: string, width: number) {
  const regularizer = findExtension('regularizer', name, PLUGINS);
  const draw = (step = 1, seed = 0): Tensors => {
    const numbers = drawNumbers(regularizer, new RandomStream(seed, 'regularizer', step), width);
    const tensors = Object.entries(numbers).map(([own, { shape, values }]) => [own, tf.tensor(values, [...shape])]);
    return Object.fromEntries(tensors);
  };
  return { compute: (rows: Tensor, drawn: Tensors) => regularizationOf(regularizer, rows, drawn), draw };
}

function regularization(name: string, rows: Tensor, step = 1): Promise<number> {
  const { compute, draw } = regularizerOf(name, rows.shape[1] as number);
  return numberOf(compute(rows, draw(step)));
}

const SIZE = { imageSize: 16, patchSize: 4, dim: 16, depth: 5, heads: 2, predictorDim: 16, predictorDepth: 1 };
const lossesOnEngines: number[][] = [];

testOnEngines(test, engines, 'losses of a few numbers are what is found by hand', async (t) => {
  const near = (actual: number, expected: number) => t.true(Math.abs(actual - expected) < 1e-6, `${actual}`);
  near(await lossOf('l2', [1, 2, 0, 0], [0, 0, 0, 0.5]), (1 + 4 + 0.25) / 4);
  near(await lossOf('smooth-l1', [1, 2, 0, 0], [0, 0, 0, 0.5]), (0.5 + 1.5 + 0.125) / 4);
});

testOnEngines(test, engines, 'VICReg of two rows is what is found by hand', async (t) => {
  // Centred columns (-1, 1) and (-2, 2): variances 2 and 8, above the hinge; covariance 4, in two places.
  const rows = tf.tensor2d([
    [0, 1],
    [2, 5],
  ]);
  const expected = (0.04 / 2) * 2 * 4 ** 2;
  t.true(Math.abs((await regularization('vicreg', rows)) - expected) < 1e-5);
  // Of rows that are all alike only the hinge is left, at √(1e-4) below 1.
  t.true(Math.abs((await regularization('vicreg', tf.ones([4, 3]))) - 0.99) < 1e-5);
});

/**
 * The statistic of Epps and Pulley with the integral in closed form:
 * n ∫ |1/n Σ_i exp(i t x_i) - exp(-t²/2)|² exp(-t²/2) dt
 *   = √(2π)/n Σ_ij exp(-(x_i - x_j)²/2) - 2√π Σ_i exp(-x_i²/4) + n √(2π/3).
 */
function eppsPulley(x: readonly number[]): number {
  const sum = (value: (xi: number) => number) => x.reduce((total, xi) => total + value(xi), 0);
  const pairs = sum((xi) => sum((xj) => Math.exp(-((xi - xj) ** 2) / 2)));
  const n = x.length;
  const cross = 2 * Math.sqrt(Math.PI) * sum((xi) => Math.exp((-xi * xi) / 4));
  return (Math.sqrt(2 * Math.PI) / n) * pairs - cross + n * Math.sqrt((2 * Math.PI) / 3);
}

testOnEngines(test, engines, 'SIGReg is the mean over directions of the integral in closed form', async (t) => {
  const [rows, width] = [7, 3];
  const stream = new RandomStream(0, 'rows');
  const z = Array.from({ length: rows }, () => Array.from({ length: width }, () => 0.3 + 0.8 * stream.normal()));
  const directions = (await regularizerOf('sigreg', width).draw().directions?.array()) as number[][];
  const count = directions[0]?.length ?? 0;
  let expected = 0;
  for (let at = 0; at < count; at++) {
    const column = directions.map((row) => row[at] as number);
    t.true(Math.abs(Math.hypot(...column) - 1) < 1e-6, 'directions have length 1');
    expected +=
      eppsPulley(z.map((row) => row.reduce((sum, value, j) => sum + value * (column[j] as number), 0))) / count;
  }
  const value = await regularization('sigreg', tf.tensor2d(z));
  t.true(Math.abs(value - expected) < 1e-4 * expected, `${value}, in closed form ${expected}`);
});

testOnEngines(test, engines, 'SIGReg of normal rows is near its expectation, of collapsed rows high', async (t) => {
  const [rows, width, samples] = [64, 16, 20];
  let mean = 0;
  for (let sample = 1; sample <= samples; sample++) {
    const stream = new RandomStream(sample, 'normal rows');
    const z = tf.tensor2d(
      Float32Array.from({ length: rows * width }, () => stream.normal()),
      [rows, width],
    );
    mean += (await regularization('sigreg', z, sample)) / samples;
  }
  const expected = Math.sqrt(2 * Math.PI) - Math.sqrt((2 * Math.PI) / 3); // 1.06
  t.true(Math.abs(mean - expected) < 0.1, `${mean}`);
  const collapsed = Math.sqrt(2 * Math.PI) - 2 * Math.sqrt(Math.PI) + Math.sqrt((2 * Math.PI) / 3); // 0.409
  const value = await regularization('sigreg', tf.zeros([rows, width]));
  t.true(Math.abs(value - rows * collapsed) < 1e-3 * value, `${value}`);
});

testOnEngines(test, firstOf(engines), 'descending SIGReg drives rows that are nearly alike apart', async (t) => {
  const [rows, width] = [16, 2];
  const stream = new RandomStream(0, 'nearly alike');
  const { compute, draw } = regularizerOf('sigreg', width);
  let z: Tensor = tf.tensor2d(
    Float32Array.from({ length: rows * width }, () => 0.01 * stream.normal()),
    [rows, width],
  );
  for (let step = 1; step <= 60; step++) {
    const drawn = draw(step);
    z = z.sub(
      tf
        .grad((x) => compute(x, drawn))(z)
        .mul(0.5),
    );
    await z.data();
  }
  const std = await numberOf(tf.moments(z, 0).variance.sqrt().mean());
  t.true(std > 0.7 && std < 1.3, `${std}`);
});

testOnEngines(
  test,
  engines,
  'isotropy is the mean squared cosine of two rows, times their width, less 1',
  async (t) => {
    const [rows, width] = [9, 5];
    const stream = new RandomStream(0, 'rows');
    const z = Array.from({ length: rows }, () => Array.from({ length: width }, () => 0.5 + stream.normal()));
    const dot = (a: number[], b: number[]) => a.reduce((sum, value, at) => sum + value * (b[at] as number), 0);
    const pairs = z.flatMap((a) => z.map((b) => dot(a, b) ** 2 / (dot(a, a) * dot(b, b))));
    const expected = (width / rows ** 2) * pairs.reduce((sum, value) => sum + value, 0) - 1;
    const value = await regularization('isotropy', tf.tensor2d(z));
    t.true(Math.abs(value - expected) < 1e-5, `${value}, pair by pair ${expected}`);
    const near = async (features: Tensor, limit: number) => {
      const given = await regularization('isotropy', features);
      t.true(Math.abs(given - limit) < 1e-5, `${given}, not ${limit}`);
    };
    await near(tf.tensor2d(z).mul(tf.range(1, rows + 1).expandDims(1)), expected); // lengths make no difference
    await near(tf.eye(width).mul(7), 0);
    await near(tf.ones([rows, width]), width - 1);
    await near(tf.zeros([rows, width]), -1);
  },
);

testOnEngines(
  test,
  engines,
  'every step has random numbers of its own, the same on every engine',
  async (t, engine) => {
    const made = methodOf({ ...SIZE, regularizer: 'sigreg' });
    const networks = initialNetworks(made.method, 0);
    const compute = prepareBatchGradients(engine, made);
    const batch = noiseBatch(made, 4);
    const losses: number[] = [];
    for (const step of [1, 2, 3, 1]) losses.push(await numberOf((await compute(networks, batch, step)).loss));
    t.is(new Set(losses).size, 3, 'a step of which the graph was recorded sees new numbers');
    t.is(losses[0], losses[3]);
    lossesOnEngines.push(losses);
    t.true(relativeDifference(losses, lossesOnEngines[0] as number[]) < 1e-5);
  },
);

test('what is drawn depends on seed and step alone', async (t) => {
  const { draw } = regularizerOf('sigreg', 4);
  await fc.assert(
    fc.asyncProperty(fc.nat(1e6), fc.integer({ min: 1, max: 1e6 }), async (seed, step) => {
      const values = async (at: number) => (await draw(at, seed).directions?.data()) ?? [];
      t.deepEqual(await values(step), await values(step));
      t.notDeepEqual(await values(step), await values(step + 1));
    }),
    { numRuns: 10 },
  );
});

const NAMED = { name: 'a-loss', summary: 'of a test' };
const loss = (compute: (...args: never[]) => unknown) =>
  ({ kind: 'loss', plugin: 'mine', item: { ...NAMED, compute } }) as Extension<'loss'>;
const regularizer = (compute: (...args: never[]) => unknown, draw?: () => unknown) =>
  ({
    kind: 'regularizer',
    plugin: 'mine',
    item: { ...NAMED, compute, ...(draw && { draw }) },
  }) as Extension<'regularizer'>;

const fails = () => {
  throw new Error('out of order');
};

/** What plugins do wrong, and what is said of it. */
const WRONG: [what: string, term: Extension<'loss' | 'regularizer'>, fault: RegExp][] = [
  ['throws', loss(fails), /the loss 'a-loss' of the plugin mine failed: out of order/],
  ['gives no scalar', loss((_: never, p: Tensor) => p.square()), /gave a tensor of float32\[.*\] instead of a scalar/],
  ['gives a promise', loss(async () => tf.scalar(1)), /gave a promise instead of a scalar/],
  ['gives a number', loss(() => 3), /gave 3 instead of a scalar/],
  ['gives no number', loss((_: never, p: Tensor) => p.mean().mul(Number.NaN)), /NaN/],
  ['does not look at the prediction', loss(() => tf.scalar(1)), /Cannot compute gradient/],
  [
    'uses an operation without gradient',
    loss((_: never, p: Tensor) => tf.topk(p.flatten(), 1).values.sum()),
    /Cannot compute gradient: gradient function not found for TopK|the engine onnx has no kernel TopK/,
  ],
  [
    'draws numbers that do not fit their shape',
    regularizer(
      (_: never, z: Tensor) => z.mean(),
      () => ({ a: { shape: [2, 2], values: new Float32Array(3) } }),
    ),
    /the regularizer 'a-loss' of the plugin mine drew 3 numbers as 'a' of shape \[2,2\]/,
  ],
];

for (const [what, term, fault] of WRONG) {
  testOnEngines(test, engines, `a term that ${what} is named before a run begins`, async (t) => {
    await t.throwsAsync(tryExtensions([term], 8), { name: 'UserError', message: fault });
  });
}

test('where a step gives no numbers, the term that gave none is named', async (t) => {
  const extensions = { loss: loss(fails), regularizer: regularizer(fails) };
  const terms = { prediction: 1, regularizer: 1, other: 1 };
  const numbers = { loss: 1, terms, logs: {}, gradientNorm: 1 };
  const { options } = resolveOptions({ methods: METHODS, flags: { learningRate: 0.1 } });
  const expected = async (given: Partial<NotFinite['numbers']>) => {
    const failing = () => Promise.reject(new NotFinite(3, { ...numbers, ...given }));
    const step = withAdvice(failing, extensions, options, 'nowhere');
    const state = { step: 2, networks: {}, slots: {}, own: {} };
    const error = await t.throwsAsync(
      step(state, { views: {}, groups: [] }, { learningRate: 0.1, weightDecay: 0, emaDecay: 1 }),
      { instanceOf: UserError },
    );
    t.regex(error?.advice.remedy ?? '', /a lower --learning-rate \(here 0\.1\)/);
    return error?.advice.expected ?? '';
  };
  const none = { loss: Number.NaN };
  t.regex(
    await expected({ ...none, terms: { ...terms, prediction: Number.NaN } }),
    /values of the loss 'a-loss' of the plugin mine$/,
  );
  t.regex(
    await expected({ ...none, terms: { ...terms, regularizer: Number.NaN } }),
    /values of the regularizer 'a-loss' of the plugin mine$/,
  );
  t.regex(await expected({ ...none, terms: { ...terms, other: Number.NaN } }), /values of the term 'other'$/);
  t.regex(
    await expected({ gradientNorm: Number.NaN }),
    /gradients of the loss .* or the regularizer .* of the plugin mine or the term 'other'$/,
  );
  t.is(await expected({ weightNorm: Number.NaN }), 'a finite loss and finite weights');
});
