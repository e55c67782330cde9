import test from 'ava';
import fc from 'fast-check';
import { RandomStream } from '../../core/base/random.js';
import { startEngine } from '../../core/engine/start.js';
import { type Tensor, tf } from '../../core/engine/tf.js';
import type { Networks } from '../../core/methods/method.js';
import { adamw } from '../../core/optim/adamw.js';
import { partLengths } from '../../core/train/parts.js';
import {
  initialNetworks,
  initialState,
  mapNetworks,
  type TrainState,
  tensorsOf,
  trainedOf,
} from '../../core/train/state.js';
import { NotFinite } from '../../core/train/step.js';
import { updateNetworks } from '../../core/train/update.js';
import { findEngines, firstOf, relativeDifference, testOnEngines, withoutOpenvino } from '../helpers/engines.js';
import { methodOf } from '../helpers/method.js';
import { ADAM, noiseBatch, numberOf, numbersOf, prepareBatchGradients, prepareTestStep } from '../helpers/training.js';

const engines = await findEngines();
const SIZE = {
  imageSize: 16,
  patchSize: 4,
  dim: 16,
  depth: 1, // gradients through several blocks are those of nn/backbone.test.ts
  heads: 2,
  predictorDim: 8,
  predictorDepth: 1,
  contextBlocks: 2,
};
const RATES = { learningRate: 1e-3, weightDecay: 0.05, emaDecay: 0.99 };
const ijepa = (flags: Readonly<Record<string, unknown>> = {}) => methodOf({ ...SIZE, ...flags });
const stateOf = ({ method }: ReturnType<typeof ijepa>, seed = 0): TrainState =>
  initialState(method, ['first', 'second'], seed);

testOnEngines(
  test,
  engines,
  'a step leaves the number of live tensors as it found it, four times',
  async (t, engine) => {
    const made = ijepa({ regularizer: 'sigreg' });
    const takeStep = prepareTestStep(engine, made, 3);
    let state = stateOf(made);
    const counts = new Set<number>();
    for (let step = 1; step <= 4; step++) {
      const taken = await takeStep(state, noiseBatch(made, 4, step % 2), RATES); // of two shapes, which openvino compiles
      state = taken.state;
      t.true(taken.loss > 0 && taken.gradientNorm > 0 && (taken.logs.targetStd ?? 0) > 0);
      counts.add(tf.memory().numTensors);
    }
    t.is(counts.size, 1, `live tensors: ${[...counts].join(', ')}`);
  },
);

testOnEngines(test, engines, 'a step that gives no numbers is refused, whatever is to blame', async (t, engine) => {
  const made = ijepa();
  const takeStep = prepareTestStep(engine, made, 64);
  const state = stateOf(made);
  const broken = noiseBatch(made, 4);
  (broken.views.image as Float32Array)[7] = Number.NaN;
  await t.throwsAsync(() => takeStep(state, broken, RATES), { instanceOf: NotFinite });
  const { state: whole, loss } = await takeStep(state, noiseBatch(made, 4), RATES); // the state outlives gradients that are none
  t.true(Number.isFinite(loss));
  const error = await t.throwsAsync(() => takeStep(whole, noiseBatch(made, 4), { ...RATES, learningRate: 1e40 }), {
    instanceOf: NotFinite,
  });
  t.false(Number.isFinite(error?.numbers.weightNorm));
});

for (const loss of ['l2', 'smooth-l1']) {
  for (const regularizer of ['none', 'vicreg', 'sigreg']) {
    const chosen = regularizer === 'vicreg' && loss === 'l2' ? engines : firstOf(engines);
    testOnEngines(
      test,
      chosen,
      `a batch in parts gives the gradients of the whole batch (${loss}, ${regularizer})`,
      async (t, engine) => {
        const made = ijepa({ loss, regularizer });
        const networks = initialNetworks(made.method, 0);
        const whole = await prepareBatchGradients(engine, made)(networks, noiseBatch(made, 7));
        const parts = await prepareBatchGradients(engine, made, 3)(networks, noiseBatch(made, 7)); // 3 + 3 + 1
        t.true(relativeDifference(await parts.loss.data(), await whole.loss.data()) < 1e-5);
        t.deepEqual(Object.keys(whole.terms), ['prediction', ...(regularizer === 'none' ? [] : ['regularizer'])]);
        for (const [name, term] of Object.entries(whole.terms)) {
          t.true(relativeDifference((await parts.terms[name]?.data()) ?? [], await term.data()) < 1e-5, name);
        }
        const [stdRows, wholeRows] = [parts.rows.targetStd as Tensor, whole.rows.targetStd as Tensor];
        t.true(relativeDifference(await stdRows.data(), await wholeRows.data()) < 1e-5);
        // All gradients together: some are sums that nearly cancel, of which float32 leaves few digits.
        t.deepEqual(namesOf(parts.gradients), namesOf(whole.gradients));
        t.true(relativeDifference(await numbersOf(parts.gradients), await numbersOf(whole.gradients)) < 1e-5);
      },
    );

    testOnEngines(
      test,
      withoutOpenvino(chosen), // golden values hold its gradients
      `the gradient of the whole objective agrees with finite differences (${loss}, ${regularizer})`,
      async (t, engine) => {
        const made = ijepa({ loss, regularizer });
        const networks = initialNetworks(made.method, 0);
        const compute = prepareBatchGradients(engine, made);
        const { gradients } = await compute(networks, noiseBatch(made, 4));
        const stream = new RandomStream(0, 'direction');
        // Along a random direction scaled like the weights, so that float32 resolves the difference.
        const direction = mapNetworks(trainedOf(made.method, networks), ({ shape, size }) =>
          tf.tensor(
            Float32Array.from({ length: size }, () => 0.02 * stream.normal()),
            shape,
          ),
        );
        const lossAt = async (h: number) => {
          const moved = mapNetworks(direction, (by) => by.mul(h));
          for (const [network, name, by] of tensorsOf(moved)) {
            const from = networks[network]?.[name] as Tensor;
            Object.assign(moved[network] ?? {}, { [name]: from.add(by) });
          }
          return numberOf((await compute({ ...networks, ...moved }, noiseBatch(made, 4))).loss);
        };
        const h = 0.05;
        const numeric = ((await lossAt(h)) - (await lossAt(-h))) / (2 * h);
        const [slopes, moves] = [await numbersOf(gradients), await numbersOf(direction)];
        const expected = slopes.reduce((sum, slope, at) => sum + slope * (moves[at] as number), 0);
        t.true(
          Math.abs(numeric - expected) < 0.02 * Math.abs(expected) + 1e-4,
          `numeric ${numeric}, analytic ${expected}`,
        );
      },
    );
  }
}

for (const regularizer of ['none', 'vicreg']) {
  testOnEngines(
    test,
    regularizer === 'vicreg' ? withoutOpenvino(engines) : firstOf(engines), // it compiles each of these shapes
    `mask groups with different numbers of patches weigh as much as they have images, in parts of any size (${regularizer})`,
    async (t, engine) => {
      const plain = ijepa();
      const networks = initialNetworks(plain.method, 0);
      const images = 7;
      const made = ijepa({ regularizer, maskGroup: 3 });
      const grouped = noiseBatch(made, images); // 3 + 3 + 1
      t.true(new Set(grouped.groups.map(({ masks }) => masks.context?.tokenCount)).size > 1);
      const alone = prepareBatchGradients(engine, plain);
      let expected = 0;
      let from = 0;
      for (const group of grouped.groups) {
        const count = group.imageCount;
        const pixels = SIZE.imageSize ** 2 * 3;
        const image = (grouped.views.image as Float32Array).subarray(from * pixels, (from + count) * pixels);
        const { loss } = await alone(networks, { views: { image }, groups: [group] });
        expected += (count / images) * (await numberOf(loss));
        from += count;
      }
      const all: Float32Array[] = [];
      for (const microBatchSize of [2, 7]) {
        const { terms, rows, gradients } = await prepareBatchGradients(engine, made, microBatchSize)(networks, grouped);
        t.true(relativeDifference([await numberOf(terms.prediction as Tensor)], [expected]) < 1e-5);
        t.deepEqual(rows.targetStd?.shape, [images, SIZE.dim]);
        all.push(await numbersOf(gradients));
      }
      for (const one of all) t.true(relativeDifference(one, all[0] as Float32Array) < 1e-5);
    },
  );
}

test('parts never hold images of two mask groups, and those that are computed at once are within bounds', (t) => {
  t.deepEqual(partLengths([64], 64, 1), [[64]]);
  t.deepEqual(partLengths([7], 7, 2), [[4, 3]]);
  t.deepEqual(partLengths([11], 5, 2), [[3, 2, 3, 2, 1]]);
  t.deepEqual(partLengths([16, 16, 16, 16], 64, 2), [[16], [16], [16], [16]]);
  t.deepEqual(partLengths([16, 16, 16], 48, 2), [[16], [16], [8, 8]]);
  t.deepEqual(partLengths([3, 3, 1], 7, 1), [[3], [3], [1]]);
  const law = fc.property(
    fc.integer({ min: 1, max: 80 }),
    fc.integer({ min: 1, max: 90 }),
    fc.integer({ min: 1, max: 80 }),
    fc.constantFrom(1, 2),
    (images, group, most, available) => {
      const groups = Array.from({ length: Math.ceil(images / group) }, (_, at) => Math.min(group, images - at * group));
      const concurrency = Math.min(available, most);
      const lengths = partLengths(groups, most, concurrency);
      const parts = lengths.flat();
      const sums = parts.map((_, at) => parts.slice(at, at + concurrency).reduce((sum, length) => sum + length, 0));
      return (
        lengths.every((own, at) => own.reduce((sum, length) => sum + length, 0) === groups[at]) &&
        parts.every((length) => length > 0) &&
        sums.every((sum) => sum <= most)
      );
    },
  );
  fc.assert(law, { numRuns: 1000 });
});

testOnEngines(test, engines, 'the same steps give the same bits', async (t, engine) => {
  const train = async () => {
    const made = ijepa();
    const takeStep = prepareTestStep(await startEngine(engine.name), made);
    let state = stateOf(made, 5);
    for (let step = 1; step <= 3; step++) ({ state } = await takeStep(state, noiseBatch(made, 4), RATES));
    return Buffer.from(Float32Array.from(await numbersOf(state.networks)).buffer).toString('base64');
  };
  t.is(await train(), await train());
});

testOnEngines(
  test,
  engines,
  'the target encoder follows the context encoder by the moving average and by nothing else',
  async (t, engine) => {
    const made = ijepa();
    const takeStep = prepareTestStep(engine, made);
    const before = initialNetworks(made.method, 0);
    const after = async (emaDecay: number) =>
      (await takeStep(stateOf(made), noiseBatch(made, 4), { ...RATES, emaDecay })).state;
    const [still, following] = [(await after(1)).networks, (await after(0)).networks];
    const of = (networks: Networks, network: string) => numbersOf({ [network]: networks[network] ?? {} });
    t.deepEqual(await of(still, 'target_encoder'), await of(before, 'target_encoder'));
    t.deepEqual(await of(following, 'target_encoder'), await of(following, 'encoder'));
    t.notDeepEqual(await of(following, 'encoder'), await of(before, 'encoder'));
  },
);

testOnEngines(test, engines, 'weight decay shrinks matrices and leaves biases and scales alone', async (t, engine) => {
  const made = ijepa();
  const trained = trainedOf(made.method, initialNetworks(made.method, 0));
  const optimiser = adamw(engine, ADAM);
  const { networks } = await updateNetworks(
    made.method,
    optimiser,
    { step: 0, networks: mapNetworks(trained, ({ shape }) => tf.ones(shape)), slots: stateOf(made).slots },
    mapNetworks(trained, ({ shape }) => tf.zeros(shape)),
    { learningRate: 0.1, weightDecay: 0.5 },
  );
  for (const [network, name, tensor] of tensorsOf(networks)) {
    const expected = tensor.shape.length > 1 ? 0.95 : 1;
    const values = await tensor.data();
    t.true(
      values.every((value) => Math.abs(value - expected) < 1e-6),
      `${network}.${name}`,
    );
  }
});

function namesOf(networks: Networks): string[] {
  return Object.entries(networks).flatMap(([network, own]) => Object.keys(own).map((name) => `${network}.${name}`));
}
