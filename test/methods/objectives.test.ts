import test from 'ava';
import fc from 'fast-check';
import { UserError } from '../../core/base/errors.js';
import { RandomStream } from '../../core/base/random.js';
import { startEngine } from '../../core/engine/start.js';
import { type Tensor, tf } from '../../core/engine/tf.js';
import { createIjepa, initialWeights } from '../../core/methods/ijepa/model.js';
import { type Brought, broughtBy, labelOf, requireBrought } from '../../core/plugins/brought.js';
import { findTermFaults } from '../../core/plugins/conformance-objectives.js';
import { withAdvice } from '../../core/run/step-advice.js';
import { tryTerms } from '../../core/train/check-losses.js';
import { prepareObjective } from '../../core/train/objective.js';
import { NotFinite } from '../../core/train/step.js';
import { drawNumbers, predictionLoss, regularization } from '../../core/train/terms.js';
import template from '../../plugins/_template/index.js';
import { BUILT_IN_PLUGINS } from '../../plugins/index.js';
import { findEngines, relativeDifference, testOnEngines } from '../helpers/engines.js';
import { SMALL_SIZE } from '../helpers/features.js';
import { objectiveOf } from '../helpers/objective.js';

const engines = await findEngines();
const PLUGINS = [...BUILT_IN_PLUGINS, template];
const TERMS = PLUGINS.flatMap(broughtBy).filter((one) => one.kind === 'loss' || one.kind === 'regularizer');

for (const term of TERMS) {
  testOnEngines(test, engines, `the ${labelOf(term)} keeps to the contract of plugins`, async (t, engine) => {
    t.deepEqual(await findTermFaults(engine, term), []);
  });
}

async function lossOf(name: string, predicted: number[], target: number[]): Promise<number> {
  const shape = [1, 1, predicted.length];
  const loss = requireBrought('loss', name, PLUGINS);
  return (await predictionLoss(loss, tf.tensor(predicted, shape), tf.tensor(target, shape)).data())[0] as number;
}

async function regularizerOf(name: string, rows: Tensor, step = 1): Promise<number> {
  const regularizer = requireBrought('regularizer', name, PLUGINS);
  const drawn = drawNumbers(regularizer, 0, step, rows.shape[1] as number);
  return (await regularization(regularizer, rows, drawn).data())[0] as number;
}

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
  t.true(Math.abs((await regularizerOf('vicreg', rows)) - expected) < 1e-5);
  // Of rows that are all alike only the hinge is left, at √(1e-4) below 1.
  t.true(Math.abs((await regularizerOf('vicreg', tf.ones([4, 3]))) - 0.99) < 1e-5);
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
  const drawn = drawNumbers(requireBrought('regularizer', 'sigreg', PLUGINS), 0, 1, width);
  const directions = (await drawn.directions?.array()) as number[][];
  const count = directions[0]?.length ?? 0;
  let expected = 0;
  for (let at = 0; at < count; at++) {
    const column = directions.map((row) => row[at] as number);
    t.true(Math.abs(Math.hypot(...column) - 1) < 1e-6, 'directions have length 1');
    expected +=
      eppsPulley(z.map((row) => row.reduce((sum, value, j) => sum + value * (column[j] as number), 0))) / count;
  }
  const value = await regularizerOf('sigreg', tf.tensor2d(z));
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
    mean += (await regularizerOf('sigreg', z, sample)) / samples;
  }
  const expected = Math.sqrt(2 * Math.PI) - Math.sqrt((2 * Math.PI) / 3); // 1.06
  t.true(Math.abs(mean - expected) < 0.1, `${mean}`);
  const collapsed = Math.sqrt(2 * Math.PI) - 2 * Math.sqrt(Math.PI) + Math.sqrt((2 * Math.PI) / 3); // 0.409
  const value = await regularizerOf('sigreg', tf.zeros([rows, width]));
  t.true(Math.abs(value - rows * collapsed) < 1e-3 * value, `${value}`);
});

testOnEngines(test, engines, 'descending SIGReg drives rows that are nearly alike apart', async (t) => {
  const [rows, width] = [16, 2];
  const stream = new RandomStream(0, 'nearly alike');
  const regularizer = requireBrought('regularizer', 'sigreg', PLUGINS);
  let z: Tensor = tf.tensor2d(
    Float32Array.from({ length: rows * width }, () => 0.01 * stream.normal()),
    [rows, width],
  );
  for (let step = 1; step <= 60; step++) {
    const drawn = drawNumbers(regularizer, 0, step, width);
    z = z.sub(
      tf
        .grad((x) => regularization(regularizer, x, drawn))(z)
        .mul(0.5),
    );
    await z.data();
  }
  const deviation = (await tf.moments(z, 0).variance.sqrt().mean().data())[0] as number;
  t.true(deviation > 0.7 && deviation < 1.3, `${deviation}`);
});

testOnEngines(
  test,
  engines,
  'every step has random numbers of its own, the same on every engine',
  async (t, engine) => {
    const model = createIjepa(SMALL_SIZE);
    const weights = initialWeights(SMALL_SIZE, 0, 'scaled');
    const compute = prepareObjective(engine, model, objectiveOf('l2', 'sigreg', 8));
    const stream = new RandomStream(0, 'pictures');
    const masks = (indices: number[]) => ({ masks: 1, images: 4, tokens: 2, indices: Int32Array.from(indices) });
    const batch = {
      images: Float32Array.from({ length: 4 * SMALL_SIZE.imageSize ** 2 * 3 }, () => stream.normal()),
      masks: [{ context: masks([0, 1, 0, 1, 0, 1, 0, 1]), targets: masks([2, 3, 2, 3, 2, 3, 2, 3]) }],
    };
    const losses: number[] = [];
    for (const step of [1, 2, 3, 1])
      losses.push((await (await compute(weights, batch, step)).loss.data())[0] as number);
    t.is(new Set(losses).size, 3, 'a step of which the graph was recorded sees new numbers');
    t.is(losses[0], losses[3]);
    lossesOnEngines.push(losses);
    t.true(relativeDifference(losses, lossesOnEngines[0] as number[]) < 1e-5);
  },
);

test('what is drawn depends on seed and step alone', async (t) => {
  const regularizer = requireBrought('regularizer', 'sigreg', PLUGINS);
  await fc.assert(
    fc.asyncProperty(fc.nat(1e6), fc.integer({ min: 1, max: 1e6 }), async (seed, step) => {
      const values = async (at: number) => (await drawNumbers(regularizer, seed, at, 4).directions?.data()) ?? [];
      t.deepEqual(await values(step), await values(step));
      t.notDeepEqual(await values(step), await values(step + 1));
    }),
    { numRuns: 10 },
  );
});

const NAMED = { name: 'a-loss', summary: 'of a test' };
const loss = (compute: (...args: never[]) => unknown) =>
  ({ kind: 'loss', plugin: 'mine', item: { ...NAMED, compute } }) as Brought<'loss'>;
const regularizer = (compute: (...args: never[]) => unknown, draw?: () => unknown) =>
  ({
    kind: 'regularizer',
    plugin: 'mine',
    item: { ...NAMED, compute, ...(draw && { draw }) },
  }) as Brought<'regularizer'>;

const fails = () => {
  throw new Error('out of order');
};

/** What plugins do wrong, and what is said of it. */
const WRONG: [what: string, term: Brought<'loss' | 'regularizer'>, fault: RegExp][] = [
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
  testOnEngines(test, engines, `a term that ${what} is named before a run begins`, async (t, engine) => {
    const terms =
      term.kind === 'loss'
        ? { loss: term, regularizer: null }
        : { loss: requireBrought('loss', 'l2', PLUGINS), regularizer: term };
    await t.throwsAsync(tryTerms(terms, 8), { name: 'UserError', message: fault });
    t.regex((await findTermFaults(engine, term)).join('\n'), fault);
  });
}

/** What a trial does not show, but the check of plugins does. */
const CARELESS: [what: string, term: Brought<'loss' | 'regularizer'>, fault: RegExp][] = [
  [
    'a loss that sums over blocks',
    loss((_: never, p: Tensor, t: Tensor) => p.sub(t).square().sum()),
    /is no mean over blocks/,
  ],
  [
    'a root of a distance',
    loss((_: never, p: Tensor, t: Tensor) => p.sub(t).square().sum(2).sqrt().mean()),
    /where the prediction is right: the gradient is no number/,
  ],
  [
    'dice of its own',
    loss((_: never, p: Tensor, t: Tensor) => p.sub(t).square().mean().mul(Math.random())),
    /the same numbers give/,
  ],
  [
    'a regularizer that takes the first row',
    regularizer((_: never, z: Tensor) => tf.slice(z, 0, 1).square().mean()),
    /order of rows: matters/,
  ],
  [
    'a deviation without epsilon',
    regularizer((_: never, z: Tensor) => tf.moments(z, 0).variance.sqrt().mean()),
    /rows that are all alike: the gradient/,
  ],
  [
    'a gradient that is not its own',
    loss((_: never, p: Tensor, t: Tensor) =>
      tf.customGrad((x, _save) => ({
        value: (x as Tensor).sub(t).square().mean(),
        gradFunc: () => [tf.onesLike(x as Tensor)],
      }))(p),
    ),
    /gradient: is .*, by finite differences/,
  ],
];

for (const [what, term, fault] of CARELESS) {
  test.serial(`the check of plugins finds ${what}`, async (t) => {
    t.regex((await findTermFaults(await startEngine('cpu'), term)).join('\n'), fault);
  });
}

test('where a step gives no numbers, the term that gave none is named', async (t) => {
  const terms = { loss: loss(fails), regularizer: regularizer(fails) };
  const numbers = { loss: 1, predictionLoss: 1, targetDeviation: 1, gradientNorm: 1 };
  const expected = async (given: Partial<typeof numbers> & { weightNorm?: number }) => {
    const step = withAdvice(() => Promise.reject(new NotFinite(3, { ...numbers, ...given })), terms, 0.1, 'nowhere');
    const batch = { images: new Float32Array(), masks: [] };
    const state = { step: 2, weights: { encoder: {}, predictor: {}, target: {} }, moments: { first: {}, second: {} } };
    const error = await t.throwsAsync(step(state, batch, { learningRate: 0.1, weightDecay: 0, momentum: 1 }), {
      instanceOf: UserError,
    });
    return error?.advice.expected ?? '';
  };
  t.regex(
    await expected({ loss: Number.NaN, predictionLoss: Number.NaN }),
    /numbers of the loss 'a-loss' of the plugin mine$/,
  );
  t.regex(await expected({ loss: Number.NaN }), /numbers of the regularizer 'a-loss' of the plugin mine$/);
  t.regex(
    await expected({ gradientNorm: Number.NaN }),
    /gradients of the loss .* or the regularizer .* of the plugin mine$/,
  );
  t.is(await expected({ weightNorm: Number.NaN }), 'a finite loss and finite weights');
});
