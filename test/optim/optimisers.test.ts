import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { UserError } from '../../core/base/errors.js';
import { compareWithRun } from '../../core/config/record.js';
import { resolveOptions } from '../../core/config/resolve.js';
import type { Engine } from '../../core/engine/contract.js';
import { type Scalar, type Tensor, tf } from '../../core/engine/tf.js';
import type { Method, NetworkSpec } from '../../core/methods/method.js';
import { METHODS } from '../../core/methods/registry.js';
import { adamw } from '../../core/optim/adamw.js';
import { clipping } from '../../core/optim/clip.js';
import { createOptimiser } from '../../core/optim/create.js';
import { lars, sgd } from '../../core/optim/momentum.js';
import { muon } from '../../core/optim/muon.js';
import { OPTIMISER_NAMES, type Optimiser, takeSteps, type UpdatedParameter } from '../../core/optim/optimiser.js';
import { initialState, type TrainState, tensorsOf } from '../../core/train/state.js';
import { prepareStep } from '../../core/train/step.js';
import type { StepRates } from '../../core/train/update.js';
import { findEngines, relativeDifference, testOnEngines, withoutOpenvino } from '../helpers/engines.js';
import { FIXTURES } from '../helpers/paths.js';
import { ADAM, numbersOf } from '../helpers/training.js';

const engines = withoutOpenvino(await findEngines());

/** What fixtures/optimisers/make_golden.py wrote. */
interface Golden {
  batch: number;
  shapes: Record<string, number[]>;
  momentum: number;
  matrixRate: number;
  emaDecays: { slow: number; fast: number };
  cases: {
    optimiser: 'sgd' | 'lars' | 'muon';
    nesterov: boolean;
    /** Of the gradient of each parameter; 0 for none. */
    clipGradient: number;
    /** Of those gradients, in every step. */
    norms: number[];
    learningRates: number[];
    weightDecay: number;
    losses: number[];
    /** Of the network and of the two moving averages that follow it, by names of parameters. */
    after: Record<string, Record<string, number[]>>;
  }[];
}
const golden: Golden = JSON.parse(readFileSync(join(FIXTURES, 'optimisers', 'golden.json'), 'utf8'));

/** A network of two layers whose outputs are to be `y`, and two moving averages of it. */
const METHOD: Method<{ given: Tensor }> = {
  networks: {
    network: { shapes: golden.shapes, role: { by: 'gradient' }, init: sines() },
    slow: { shapes: golden.shapes, role: { by: 'ema', of: 'network', decay: 'slow' } },
    fast: { shapes: golden.shapes, role: { by: 'ema', of: 'network', decay: 'fast' } },
  },
  views: [],
  encoders: {},
  sizes: {},
  masks: {},
  targets: () => ({}),
  outputs({ network = {} }, { values }) {
    const layer = (name: string, x: Tensor) =>
      tf.matMul(x, network[`${name}.weight`] as Tensor, false, true).add(network[`${name}.bias`] as Tensor);
    return { given: layer('fc2', tf.tanh(layer('fc1', values.x as Tensor))) };
  },
  terms: [
    {
      name: 'squared',
      weight: 1,
      over: 'images',
      compute: ({ given }, _, { values }) =>
        given
          .sub(values.y as Tensor)
          .square()
          .mean() as Scalar,
    },
  ],
  rates: {},
  logs: [],
  dispose: () => {},
};

/** 0.5 sin(k² / 7 + 1) for the k-th number of a network. */
function sines(): NonNullable<NetworkSpec['init']> {
  const starts: Record<string, number> = {};
  let k = 0;
  for (const [name, shape] of Object.entries(golden.shapes)) {
    starts[name] = k;
    k += shape.reduce((product, side) => product * side, 1);
  }
  return (name, shape) =>
    numbers(
      shape.reduce((product, side) => product * side, 1),
      (at) => {
        return 0.5 * Math.sin(((starts[name] as number) + at) ** 2 / 7 + 1);
      },
    );
}

function numbers(length: number, at: (k: number) => number): Float32Array {
  return Float32Array.from({ length }, (_, k) => at(k));
}

function batchOf(step: number) {
  const { batch: images } = golden;
  const values = (columns: number, divisor: number) => ({
    shape: [images, columns],
    values: numbers(images * columns, (k) => Math.sin(k ** 2 / divisor + step)),
  });
  return { views: {}, groups: [{ imageCount: images, masks: {}, values: { x: values(3, 11), y: values(2, 13) } }] };
}

/** Steps with at most so many images at once; with `data` 0 on the same images. */
async function train(engine: Engine, optimiser: Optimiser, rates: readonly StepRates[], microBatchSize = 4, data = 1) {
  const takeStep = prepareStep(engine, METHOD, optimiser, { sides: {}, microBatchSize, seed: 0 });
  let state: TrainState = initialState(METHOD, optimiser.slotNames, 0);
  const losses: number[] = [];
  const live = new Set<number>();
  for (const [step, own] of rates.entries()) {
    const taken = await takeStep(state, batchOf(data * step), own);
    state = taken.state;
    losses.push(taken.loss);
    live.add(tf.memory().numTensors);
  }
  return { state, losses, live };
}

for (const expected of golden.cases) {
  const { optimiser: name, nesterov, clipGradient, weightDecay, learningRates } = expected;
  const title = `${name}${nesterov ? " with Nesterov's momentum" : ''}${clipGradient > 0 ? ' with clipped gradients' : ''}`;
  testOnEngines(
    test,
    engines,
    `three steps of ${title} are those of PyTorch, and so are averages`,
    async (t, engine) => {
      const momentum = { momentum: golden.momentum, nesterov };
      const plain =
        name === 'muon'
          ? muon(engine, { ...ADAM, matrixRate: golden.matrixRate })
          : { sgd, lars }[name](engine, momentum);
      const optimiser = clipGradient > 0 ? clipping(engine, plain, clipGradient) : plain;
      const rates = learningRates.map((learningRate) => ({ learningRate, weightDecay, ...golden.emaDecays }));
      const { state, losses, live } = await train(engine, optimiser, rates, 3);
      t.true(relativeDifference(losses, expected.losses) < 1e-6, `losses ${losses}`);
      t.is(live.size, 1, `live tensors: ${[...live]}`);
      for (const [network, own, tensor] of tensorsOf(state.networks)) {
        const difference = relativeDifference(await tensor.data(), expected.after[network]?.[own] as number[]);
        t.true(difference < 2e-6, `${network}.${own} differs by ${difference}`);
      }
    },
  );
}

testOnEngines(test, engines, 'AdamW moves every average by its own decay', async (t, engine) => {
  const rates = { learningRate: 0.1, weightDecay: 0.1 };
  const optimiser = adamw(engine, ADAM);
  const start = await numbersOf({ network: initialState(METHOD, [], 0).networks.network ?? {} });
  const { state, live } = await train(engine, optimiser, [{ ...rates, slow: 0.75, fast: 0 }]);
  const [after, slow, fast] = await Promise.all(
    ['network', 'slow', 'fast'].map((name) => numbersOf({ [name]: state.networks[name] ?? {} })),
  );
  t.is(live.size, 1);
  t.deepEqual(fast, after);
  t.notDeepEqual(after, start);
  const expected = start.map((value, at) => 0.75 * value + 0.25 * (after?.[at] as number));
  t.true(relativeDifference(slow as Float32Array, expected) < 1e-6);
});

testOnEngines(
  test,
  engines,
  'gradients at most as long as the norm keep their bits, longer ones are cut',
  async (t, engine) => {
    const rates = [{ learningRate: 0.1, weightDecay: 0.1, slow: 0.9, fast: 0.9 }];
    const options = { ...ADAM, optimiser: 'sgd', momentum: 0.9, matrixRate: 1 } as const;
    const after = async (clipGradient: number) => {
      const { state, live } = await train(engine, createOptimiser(engine, { ...options, clipGradient }), rates);
      t.is(live.size, 1);
      return numbersOf(state.networks);
    };
    const free = await after(0);
    t.deepEqual(await after(100), free);
    t.notDeepEqual(await after(0.1), free);
  },
);

testOnEngines(test, engines, 'LARS leaves the length of a gradient out, but not of biases', async (t, engine) => {
  const optimiser = createOptimiser(engine, { ...ADAM, optimiser: 'lars', momentum: 0, matrixRate: 1 });
  const step = async (shape: number[], scale: number) => {
    const size = shape.reduce((product, side) => product * side, 1);
    const state = { value: tf.fill(shape, 2), slots: { velocity: tf.zeros(shape) }, averages: [] };
    const gradient = tf.tensor(
      numbers(size, (k) => scale * (k + 1)),
      shape,
    );
    const rates = { step: 1, learningRate: 1, weightDecay: 0, emaDecays: [] };
    const [{ value, squares }] = (await optimiser.update([{ ...state, gradient, rates }])) as [UpdatedParameter];
    const values = Array.from(await value.data());
    t.true(Math.abs(squares - values.reduce((sum, x) => sum + x * x, 0)) < 1e-4 * squares);
    return values.map((x) => 2 - x);
  };
  const [small, large] = [await step([2, 3], 1), await step([2, 3], 100)];
  t.true(relativeDifference(large, small) < 1e-3);
  t.true(Math.abs(Math.hypot(...small) - 0.001 * Math.hypot(...new Array(6).fill(2))) < 1e-5);
  t.true(
    relativeDifference(
      await step([6], 0.01),
      [1, 2, 3, 4, 5, 6].map((k) => 0.01 * k),
    ) < 1e-4,
  );
});

testOnEngines(test, engines, 'Muon moves a matrix as its transpose, alone or with others', async (t, engine) => {
  const optimiser = muon(engine, { ...ADAM, matrixRate: 1 });
  const sine = (shape: [number, number], divisor: number) =>
    tf.tensor2d(
      numbers(shape[0] * shape[1], (k) => Math.sin(k ** 2 / divisor)),
      shape,
    );
  const own: [Tensor, Tensor][] = [
    [sine([3, 5], 7), sine([3, 5], 11)],
    [sine([4, 4], 7), sine([4, 4], 11)],
  ];
  const transposed = own.map(([value, gradient]): [Tensor, Tensor] => [value.transpose(), gradient.transpose()]);
  const step = async (given: readonly (readonly [Tensor, Tensor])[]) => {
    const updated = await takeSteps(
      optimiser,
      given.map(([value, gradient]) => ({
        value: value.clone(),
        slots: { first: tf.zerosLike(value), second: tf.zerosLike(value) },
        averages: [],
        gradient,
        rates: { step: 1, learningRate: 0.1, weightDecay: 0.1, emaDecays: [] },
      })),
    );
    return updated.map(({ value }) => value);
  };
  const together = await step([...own, ...transposed]);
  const alone = [...own, ...transposed].map(async (matrix) => (await step([matrix]))[0] as Tensor);
  for (const [at, matrix] of together.entries()) {
    const sameAs = [await alone[at], at < 2 ? together[at + 2]?.transpose() : null];
    for (const other of sameAs) {
      if (other) t.true(relativeDifference(await matrix.data(), await other.data()) < 1e-6);
    }
    const [start] = [...own, ...transposed][at] as [Tensor, Tensor];
    t.true(relativeDifference(await matrix.data(), await start.data()) > 1e-3);
  }
});

testOnEngines(test, engines, 'cut gradients are there for one group of parameters at a time', async (t, engine) => {
  const shapes = [[4], [3, 5], [4, 4], [5, 3], [2, 3, 3]];
  const alive: number[] = [];
  const inner: Optimiser = {
    ...muon(engine, { ...ADAM, matrixRate: 1 }),
    update: async (group) => {
      alive.push(tf.memory().numTensors - before);
      return group.map(({ value, slots, averages }) => ({ value, slots, averages, squares: 0 }));
    },
  };
  const parameters = shapes.map((shape) => ({
    value: tf.ones(shape),
    slots: {},
    averages: [],
    gradient: tf.ones(shape),
    rates: { step: 1, learningRate: 0.1, weightDecay: 0, emaDecays: [] },
  }));
  const before = tf.memory().numTensors;
  const updated = await takeSteps(clipping(engine, inner, 1), parameters);
  t.deepEqual(alive, [1, 2, 1, 1]);
  t.deepEqual(
    updated.map(({ value }) => value.shape),
    shapes,
  );
  tf.dispose(parameters);
});

testOnEngines(test, engines, 'every optimiser learns, and says what it is called', async (t, engine) => {
  const learningRates = { adamw: 0.02, sgd: 0.05, lars: 0.05, muon: 0.02 };
  for (const name of OPTIMISER_NAMES) {
    const optimiser = createOptimiser(engine, { ...ADAM, optimiser: name, momentum: 0.9, matrixRate: 1 });
    t.is(optimiser.name, name);
    const rates = { learningRate: learningRates[name], weightDecay: 0, slow: 0.9, fast: 0.9 };
    const { losses } = await train(engine, optimiser, new Array(40).fill(rates), 4, 0);
    t.true((losses.at(-1) as number) < 0.8 * (losses[0] as number), `${name}: ${losses}`);
  }
});

test('a run goes on with its own optimiser: another one, or another momentum, is refused', (t) => {
  const resolve = (flags: Record<string, unknown>) => resolveOptions({ methods: METHODS, flags });
  const { options } = resolve({ optimiser: 'lars', momentum: 0.8 });
  t.like(options, { optimiser: 'lars', momentum: 0.8, clipGradient: 0 });
  t.is(resolve({ method: 'dino' }).options.clipGradient, 3, 'as in its official code');
  t.is(compareWithRun(resolve({}), { options }).optimiser, 'lars');
  for (const flags of [{ optimiser: 'adamw' }, { momentum: 0.9 }]) {
    t.throws(() => compareWithRun(resolve(flags), { options }), { instanceOf: UserError, message: /cannot change/ });
  }
  t.throws(() => resolve({ optimiser: 'adam' }), { instanceOf: UserError, message: /adam/ });
});
