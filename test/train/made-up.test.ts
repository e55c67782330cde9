import test from 'ava';
import { type Scalar, type Tensor, tf } from '../../core/engine/tf.js';
import type { DrawnGroup, Method } from '../../core/methods/method.js';
import { initialNetworks, initialState, stateShapes, type TrainState } from '../../core/train/state.js';
import { findEngines, relativeDifference, testOnEngines } from '../helpers/engines.js';
import { LINEAR, linear, madeUp, WIDTH } from '../helpers/made-up.js';
import { noiseBatch, numberOf, numbersOf, prepareBatchGradients, prepareTestStep } from '../helpers/training.js';

const engines = await findEngines();
const SLOTS = ['first', 'second'];
const RATES = { learningRate: 1e-2, weightDecay: 0.05 };
type Outputs = { predicted: Tensor };
type Targets = { wanted: Tensor };
const distance: Method<Outputs, Targets>['terms'] = [
  {
    name: 'distance',
    weight: 1,
    over: 'images',
    compute: ({ predicted }, { wanted }) => predicted.sub(wanted).square().mean() as Scalar,
  },
];

testOnEngines(test, engines, 'a network that is fixed is predicted, and stays as it is', async (t, engine) => {
  const distillation = madeUp<Outputs, Targets>({
    networks: {
      student: { shapes: LINEAR, role: { by: 'gradient' } },
      random: {
        shapes: LINEAR,
        role: { by: 'fixed' },
        init: (_, shape, stream) => drawn(shape, () => stream.normal()),
      },
    },
    targets: (networks, { views }) => ({ wanted: linear(networks.random, views.image) }),
    outputs: (networks, { views }) => ({ predicted: linear(networks.student, views.image) }),
    terms: distance,
  });
  const takeStep = prepareTestStep(engine, distillation, 3);
  const { networks: before } = initialState(distillation.method, SLOTS, 0);
  const fixed = Float32Array.from(await numbersOf({ random: before.random ?? {} }));
  const student = Float32Array.from(await numbersOf({ student: before.student ?? {} }));
  t.true(fixed.every((value) => value !== 0));
  let state: TrainState = initialState(distillation.method, SLOTS, 0);
  const losses: number[] = [];
  for (let step = 1; step <= 20; step++) {
    const taken = await takeStep(state, noiseBatch(distillation, 7), RATES);
    state = taken.state;
    losses.push(taken.loss);
  }
  t.true((losses.at(-1) as number) < (losses[0] as number));
  t.deepEqual(await numbersOf({ random: state.networks.random ?? {} }), fixed);
  t.notDeepEqual(await numbersOf({ student: state.networks.student ?? {} }), student);
  const shapes = stateShapes(distillation.method, SLOTS);
  t.deepEqual(Object.keys(shapes.networks), ['student', 'random'], 'a checkpoint holds it');
  t.deepEqual(Object.keys(shapes.slots.first ?? {}), ['student'], 'an optimiser keeps nothing of it');
  const other = await numbersOf({ random: initialNetworks(distillation.method, 1).random ?? {} });
  t.notDeepEqual(other, fixed, 'its values come from the seed');
});

testOnEngines(
  test,
  engines,
  'a rate that is new in every step reaches the terms, and nothing is traced anew for it',
  async (t, engine) => {
    let calls = 0;
    const annealed = madeUp<Outputs, Targets>({
      networks: {
        student: { shapes: LINEAR, role: { by: 'gradient' } },
        teacher: { shapes: LINEAR, role: { by: 'ema', of: 'student', decay: 'ema' } },
      },
      targets: (networks, { views, rates }) => ({
        wanted: linear(networks.teacher, views.image).div(rates.temperature as Tensor),
      }),
      outputs(networks, { views, rates }) {
        calls++;
        t.deepEqual(Object.keys(rates), ['temperature'], "the decay of the moving average is the update's alone");
        return { predicted: linear(networks.student, views.image) };
      },
      terms: distance,
      rates: { ema: () => 0.9, temperature: (step) => 1 / step },
    });
    const takeStep = prepareTestStep(engine, annealed);
    let state = initialState(annealed.method, SLOTS, 0);
    const traced: number[] = [];
    for (let step = 1; step <= 5; step++) {
      const temperature = annealed.method.rates.temperature?.(step, LENGTH) as number;
      const batch = noiseBatch(annealed, 4, step);
      const image = tf.tensor4d(batch.views.image as Float32Array, [4, 4, 4, 3]);
      const wanted = linear(state.networks.teacher, image).div(temperature);
      const expected = await numberOf(linear(state.networks.student, image).sub(wanted).square().mean());
      const taken = await takeStep(state, batch, { ...RATES, ema: 0.9, temperature });
      state = taken.state;
      t.true(Math.abs(taken.loss - expected) <= 1e-5 * expected + 1e-12, `step ${step}: ${taken.loss}, ${expected}`);
      traced.push(calls);
    }
    if (engine.memory.kind === 'planned') t.is(traced.at(-1), traced[0], 'what was traced once is replayed');
    else t.is(traced.at(-1), 5);
  },
);

testOnEngines(
  test,
  engines,
  'numbers that are drawn for each image go with it, in groups and parts of any size',
  async (t, engine) => {
    const scaled = madeUp<Outputs, Targets>({
      networks: { encoder: { shapes: LINEAR, role: { by: 'gradient' } } },
      draw(stream, imageCount) {
        const group = (count: number): DrawnGroup => ({
          imageCount: count,
          masks: {},
          values: { scale: { shape: [count, WIDTH], values: drawn([count, WIDTH], () => stream.normal()) } },
        });
        return { groups: [group(imageCount - 2), group(2)] };
      },
      targets: (_, { values }) => ({ wanted: values.scale as Tensor }),
      outputs: (networks, { views, values }) => ({
        predicted: linear(networks.encoder, views.image).mul(values.scale as Tensor),
      }),
      terms: distance,
    });
    const networks = initialNetworks(scaled.method, 0);
    const batch = noiseBatch(scaled, 7);
    t.deepEqual(
      batch.groups.map(({ imageCount }) => imageCount),
      [5, 2],
    );
    const image = tf.tensor4d(batch.views.image as Float32Array, [7, 4, 4, 3]);
    const scale = tf.concat(
      batch.groups.map(({ values }) => tf.tensor(values?.scale?.values ?? [], [...(values?.scale?.shape ?? [])])),
    );
    const expected = await numberOf(linear(networks.encoder, image).mul(scale).sub(scale).square().mean());
    const all: Float32Array[] = [];
    for (const microBatchSize of [7, 3, 1]) {
      const { loss, gradients } = await prepareBatchGradients(engine, scaled, microBatchSize)(networks, batch);
      t.true(relativeDifference([await numberOf(loss)], [expected]) < 1e-5);
      all.push(await numbersOf(gradients));
    }
    for (const one of all) t.true(relativeDifference(one, all[0] as Float32Array) < 1e-5);
    t.notDeepEqual(noiseBatch(scaled, 7, 2).groups, batch.groups, 'every step draws anew');
  },
);

const LENGTH = { stepsPerEpoch: 10, epochs: 1, scheduleStretch: 1 };

function drawn(shape: readonly number[], draw: () => number): Float32Array {
  return Float32Array.from({ length: shape.reduce((product, side) => product * side, 1) }, draw);
}
