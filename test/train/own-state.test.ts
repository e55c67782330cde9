import { join } from 'node:path';
import test from 'ava';
import { checkpointMetadata, copyState, loadCheckpoint } from '../../core/checkpoint/checkpoint.js';
import { writeSafetensors } from '../../core/checkpoint/safetensors.js';
import { type Scalar, type Tensor, tf } from '../../core/engine/tf.js';
import { initialState, stateShapes, type TrainState } from '../../core/train/state.js';
import { temporaryFolder } from '../helpers/command.js';
import { findEngines, relativeDifference, testOnEngines } from '../helpers/engines.js';
import { LINEAR, linear, madeUp, WIDTH } from '../helpers/made-up.js';
import { noiseBatch, numberOf, numbersOf, prepareBatchGradients, prepareTestStep } from '../helpers/training.js';

const engines = await findEngines();
const SLOTS = ['first', 'second'];
const RATES = { learningRate: 1e-2, weightDecay: 0.05, ema: 0.9 };
const [STUDENT, TEACHER, MOMENTUM] = [0.1, 0.04, 0.9];

/** What DINO (Caron et al. 2021, section 3) has of its own: a teacher whose outputs are centred by a mean over steps. */
const dino = madeUp<{ student: Tensor }, { teacher: Tensor; raw: Tensor }>({
  networks: {
    student: { shapes: LINEAR, role: { by: 'gradient' } },
    teacher: { shapes: LINEAR, role: { by: 'ema', of: 'student', decay: 'ema' } },
  },
  targets(networks, { views, state }) {
    const raw = linear(networks.teacher, views.image); // [b, D]
    return { raw, teacher: tf.softmax(raw.sub(state.centre as Tensor).div(TEACHER)) };
  },
  outputs: (networks, { views }) => ({ student: linear(networks.student, views.image).div(STUDENT) }),
  terms: [
    {
      name: 'cross-entropy',
      weight: 1,
      over: 'images',
      compute: ({ student }, { teacher }) => tf.logSoftmax(student).mul(teacher).sum(1).mean().neg() as Scalar,
    },
  ],
  state: {
    initial: { centre: { shape: [WIDTH], values: new Float32Array(WIDTH) } },
    statistics: (_outputs, { raw }, { fraction }) => ({ mean: raw.mean(0).mul(fraction) }),
    next: ({ centre }, { mean }) => ({
      centre: (centre as Tensor).mul(MOMENTUM).add((mean as Tensor).mul(1 - MOMENTUM)),
    }),
  },
  rates: { ema: () => RATES.ema },
});
const start = () => initialState(dino.method, SLOTS, 0);

testOnEngines(test, engines, 'statistics of three uneven parts add up to those of the batch', async (t, engine) => {
  const { networks, own } = start();
  const context = { state: own, rates: {} };
  const whole = await prepareBatchGradients(engine, dino)(networks, noiseBatch(dino, 7), 1, context);
  const parts = await prepareBatchGradients(engine, dino, 3)(networks, noiseBatch(dino, 7), 1, context); // 3 + 3 + 1
  const image = tf.tensor4d(noiseBatch(dino, 7).views.image as Float32Array, [7, 4, 4, 3]);
  const mean = await linear(networks.teacher, image).mean(0).data();
  for (const { statistics } of [whole, parts]) {
    t.true(relativeDifference((await statistics.mean?.data()) ?? [], mean) < 1e-6);
  }
  t.true(relativeDifference(await numbersOf(parts.gradients), await numbersOf(whole.gradients)) < 1e-5);
});

testOnEngines(test, engines, 'a step sees the state that the step before left, and moves it on', async (t, engine) => {
  const takeStep = prepareTestStep(engine, dino, 3);
  const teacherOf = (state: TrainState, step: number) => {
    const image = tf.tensor4d(noiseBatch(dino, 7, step).views.image as Float32Array, [7, 4, 4, 3]);
    return { image, raw: linear(state.networks.teacher, image) };
  };
  let state = start();
  let centre: Tensor = tf.zeros([WIDTH]);
  const counts = new Set<number>();
  for (let step = 1; step <= 4; step++) {
    const { image, raw } = teacherOf(state, step);
    const teacher = tf.softmax(raw.sub(centre).div(TEACHER));
    const student = linear(state.networks.student, image).div(STUDENT);
    const expected = await numberOf(tf.logSoftmax(student).mul(teacher).sum(1).mean().neg());
    const mean = Float32Array.from(await raw.mean(0).data());
    const before = tf.memory().numTensors;
    const taken = await takeStep(state, noiseBatch(dino, 7, step), RATES);
    counts.add(tf.memory().numTensors - before);
    state = taken.state;
    t.true(Math.abs(taken.loss - expected) < 1e-4 * Math.abs(expected), `step ${step}: ${taken.loss}, ${expected}`);
    centre = centre.mul(MOMENTUM).add(tf.tensor1d(mean).mul(1 - MOMENTUM));
    t.true(relativeDifference((await state.own.centre?.data()) ?? [], await centre.data()) < 1e-5, `step ${step}`);
  }
  t.deepEqual([...counts], [0], 'a step leaves the number of live tensors as it found it');
});

testOnEngines(
  test,
  engines,
  'interrupted and read from a checkpoint, it goes on with the same bits',
  async (t, engine) => {
    const path = join(await temporaryFolder(t), 'latest.safetensors');
    const model = { method: 'DINO', encoders: { own: 'student' }, imageSize: 4, patchSize: 2, sizes: {} };
    const takeStep = prepareTestStep(engine, dino, 3);
    const train = async (state: TrainState, to: number) => {
      while (state.step < to) ({ state } = await takeStep(state, noiseBatch(dino, 7, state.step + 1), RATES));
      return state;
    };
    const bytesOf = async (state: TrainState) =>
      [...(await copyState(state, null))].map(([name, { data }]) => [
        name,
        Buffer.from(data.slice().buffer).toString('hex'),
      ]);
    const whole = await bytesOf(await train(start(), 6));
    const stopped = await train(start(), 2);
    const facts = { epoch: 1, data: 'noise', model, memory: null };
    await writeSafetensors(path, await copyState(stopped, null), checkpointMetadata(stopped.step, facts));
    const { state } = await loadCheckpoint(path, model, stateShapes(dino.method, SLOTS));
    t.is(state.step, 2);
    t.notDeepEqual(await state.own.centre?.data(), new Float32Array(WIDTH));
    const again = await bytesOf(await train(state, 6));
    t.deepEqual(again, whole);
    t.true(again.some(([name]) => name === 'state.centre'));
  },
);
