import test from 'ava';
import fc from 'fast-check';
import { RandomStream } from '../../core/base/random.js';
import { type Tensor, tf } from '../../core/engine/tf.js';
import { createIjepa, initialWeights } from '../../core/methods/ijepa/model.js';
import { checkMaskSettings } from '../../core/methods/masks/check.js';
import { masksOfStep } from '../../core/methods/masks/coverage.js';
import type { Parameters } from '../../core/nn/parameters.js';
import type { ModelSize } from '../../core/nn/sizes.js';
import { updateRates } from '../../core/optim/adamw.js';
import { partLengths, type TrainBatch } from '../../core/train/micro-batch.js';
import { prepareObjective, trainable } from '../../core/train/objective.js';
import { initialTrainState, NotFinite, prepareTrainStep, type TrainState } from '../../core/train/step.js';
import { findEngines, relativeDifference, testOnEngines } from '../helpers/engines.js';
import { objectiveOf } from '../helpers/objective.js';

const engines = await findEngines();
const SIZE: ModelSize = {
  imageSize: 16,
  patchSize: 4,
  encoder: { dim: 16, depth: 2, heads: 2, mlpRatio: 4 },
  predictor: { dim: 8, depth: 1, heads: 2, mlpRatio: 4 },
};
const OBJECTIVE = objectiveOf('l2', 'none', 64);
const RATES = { learningRate: 1e-3, weightDecay: 0.05, momentum: 0.99 };
const ADAM = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
const MASKS = checkMaskSettings(
  {
    gridSize: 4,
    targets: 4,
    targetScale: [0.15, 0.2],
    targetAspect: [0.75, 1.5],
    contexts: 2,
    contextScale: [0.85, 1],
    minKeep: null,
    mode: 'inclusive',
    group: null,
  },
  SIZE,
);

function batch(images: number, step = 1, group: number | null = null): TrainBatch {
  const stream = new RandomStream(0, 'pictures', step);
  return {
    images: Float32Array.from({ length: images * SIZE.imageSize ** 2 * 3 }, () => stream.normal()),
    masks: masksOfStep({ ...MASKS, group }, images, 0, step).groups,
  };
}

testOnEngines(test, engines, 'a step leaves the number of live tensors as it found it, 50 times', async (t, engine) => {
  const model = createIjepa(SIZE);
  const takeStep = prepareTrainStep(engine, model, objectiveOf('l2', 'sigreg', 3), ADAM);
  let state: TrainState = initialTrainState(initialWeights(SIZE, 0, 'scaled'));
  const counts = new Set<number>();
  for (let step = 1; step <= 50; step++) {
    const taken = await takeStep(state, batch(4, step), RATES);
    state = taken.state;
    t.true(taken.loss > 0 && taken.gradientNorm > 0 && taken.targetDeviation > 0);
    counts.add(tf.memory().numTensors);
  }
  t.is(counts.size, 1, `live tensors: ${[...counts].join(', ')}`);
});

testOnEngines(test, engines, 'a step that gives no numbers is refused, whatever is to blame', async (t, engine) => {
  const model = createIjepa(SIZE);
  const takeStep = prepareTrainStep(engine, model, OBJECTIVE, ADAM);
  const state = initialTrainState(initialWeights(SIZE, 0, 'scaled'));
  const broken = batch(4);
  broken.images[7] = Number.NaN;
  await t.throwsAsync(() => takeStep(state, broken, RATES), { instanceOf: NotFinite });
  const { state: whole, loss } = await takeStep(state, batch(4), RATES); // the state outlives gradients that are none
  t.true(Number.isFinite(loss));
  const error = await t.throwsAsync(() => takeStep(whole, batch(4), { ...RATES, learningRate: 1e40 }), {
    instanceOf: NotFinite,
  });
  t.false(Number.isFinite(error?.numbers.weightNorm));
});

for (const loss of ['l2', 'smooth-l1']) {
  for (const regularizer of ['none', 'vicreg', 'sigreg']) {
    testOnEngines(
      test,
      engines,
      `a batch in parts gives the gradients of the whole batch (${loss}, ${regularizer})`,
      async (t, engine) => {
        const model = createIjepa(SIZE);
        const weights = initialWeights(SIZE, 0, 'scaled');
        const objective = objectiveOf(loss, regularizer, 64);
        const whole = await prepareObjective(engine, model, objective)(weights, batch(7), 1);
        const inParts = prepareObjective(engine, model, { ...objective, microBatchSize: 3 });
        const parts = await inParts(weights, batch(7), 1); // 3 + 3 + 1
        t.true(relativeDifference(await parts.loss.data(), await whole.loss.data()) < 1e-5);
        t.true(relativeDifference(await parts.predictionLoss.data(), await whole.predictionLoss.data()) < 1e-5);
        t.true(relativeDifference(await parts.targetMeans.data(), await whole.targetMeans.data()) < 1e-5);
        // All gradients together: some are sums that nearly cancel, of which float32 leaves few digits.
        const names = Object.keys(whole.gradients);
        t.deepEqual(Object.keys(parts.gradients), names);
        const together = (gradients: Parameters) =>
          tf.concat(names.map((name) => (gradients[name] as Tensor).flatten())).data();
        t.true(relativeDifference(await together(parts.gradients), await together(whole.gradients)) < 1e-5);
      },
    );

    testOnEngines(
      test,
      engines,
      `the gradient of the whole objective agrees with finite differences (${loss}, ${regularizer})`,
      async (t, engine) => {
        const model = createIjepa(SIZE);
        const weights = initialWeights(SIZE, 0, 'scaled');
        const objective = objectiveOf(loss, regularizer, 64);
        const compute = prepareObjective(engine, model, objective);
        const { gradients } = await compute(weights, batch(4), 1);
        const stream = new RandomStream(0, 'direction');
        // Along a random direction scaled like the weights, so that float32 resolves the difference.
        const direction = Object.fromEntries(
          Object.entries(trainable(weights)).map(([name, { shape, size }]) => [
            name,
            tf.tensor(
              Float32Array.from({ length: size }, () => 0.02 * stream.normal()),
              shape,
            ),
          ]),
        );
        const lossAt = async (h: number) => {
          const move = (prefix: string, group: Record<string, Tensor>) =>
            Object.fromEntries(
              Object.entries(group).map(([name, x]) => [name, x.add((direction[prefix + name] as Tensor).mul(h))]),
            );
          const moved = {
            ...weights,
            encoder: move('encoder.', weights.encoder),
            predictor: move('predictor.', weights.predictor),
          };
          const { loss } = await compute(moved, batch(4), 1);
          return (await loss.data())[0] as number;
        };
        const h = 0.05;
        const numeric = ((await lossAt(h)) - (await lossAt(-h))) / (2 * h);
        let expected = 0;
        for (const [name, gradient] of Object.entries(gradients)) {
          expected += (
            await gradient
              .mul(direction[name] as Tensor)
              .sum()
              .data()
          )[0] as number;
        }
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
    engines,
    `mask groups with different numbers of patches weigh as much as they have images, in parts of any size (${regularizer})`,
    async (t, engine) => {
      const model = createIjepa(SIZE);
      const weights = initialWeights(SIZE, 0, 'scaled');
      const images = 7;
      const grouped = batch(images, 1, 3); // 3 + 3 + 1
      t.true(new Set(grouped.masks.map(({ context }) => context.tokens)).size > 1);
      const plain = prepareObjective(engine, model, objectiveOf('l2', 'none', images));
      let expected = 0;
      let from = 0;
      for (const masks of grouped.masks) {
        const count = masks.context.images;
        const pixels = SIZE.imageSize ** 2 * 3;
        const alone = { images: grouped.images.subarray(from * pixels, (from + count) * pixels), masks: [masks] };
        expected += (count / images) * ((await (await plain(weights, alone, 1)).loss.data())[0] as number);
        from += count;
      }
      const all: Float32Array[] = [];
      for (const microBatchSize of [2, 7]) {
        const compute = prepareObjective(engine, model, objectiveOf('l2', regularizer, microBatchSize));
        const { predictionLoss, targetMeans, gradients } = await compute(weights, grouped, 1);
        t.true(relativeDifference(await predictionLoss.data(), [expected]) < 1e-5);
        t.deepEqual(targetMeans.shape, [images, SIZE.encoder.dim]);
        all.push((await tf.concat(Object.values(gradients).map((x) => x.flatten())).data()) as Float32Array);
      }
      for (const one of all) t.true(relativeDifference(one, all[0] as Float32Array) < 1e-5);
    },
  );
}

test('parts never hold images of two mask groups, and those that lanes compute at once are within bounds', (t) => {
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
    (images, group, most, lanesThere) => {
      const groups = Array.from({ length: Math.ceil(images / group) }, (_, at) => Math.min(group, images - at * group));
      const lanes = Math.min(lanesThere, most);
      const lengths = partLengths(groups, most, lanes);
      const parts = lengths.flat();
      const sums = parts.map((_, at) => parts.slice(at, at + lanes).reduce((sum, length) => sum + length, 0));
      return (
        lengths.every((own, at) => own.reduce((sum, length) => sum + length, 0) === groups[at]) &&
        parts.every((length) => length > 0) &&
        sums.every((sum) => sum <= most)
      );
    },
  );
  fc.assert(law, { numRuns: 3000 });
});

testOnEngines(test, engines, 'the same steps give the same bits', async (t, engine) => {
  const train = async () => {
    const model = createIjepa(SIZE);
    const takeStep = prepareTrainStep(engine, model, OBJECTIVE, ADAM);
    let state = initialTrainState(initialWeights(SIZE, 5, 'scaled'));
    for (let step = 1; step <= 3; step++) ({ state } = await takeStep(state, batch(4, step), RATES));
    const values = await Promise.all(Object.values(state.weights.target).map((tensor) => tensor.data()));
    return values.map((data) => Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64')).join();
  };
  t.is(await train(), await train());
});

testOnEngines(
  test,
  engines,
  'the target encoder follows the context encoder by the moving average and by nothing else',
  async (t, engine) => {
    const model = createIjepa(SIZE);
    const takeStep = prepareTrainStep(engine, model, OBJECTIVE, ADAM);
    const fresh = () => initialTrainState(initialWeights(SIZE, 0, 'scaled'));
    const before = fresh().weights.target;
    const still = (await takeStep(fresh(), batch(4), { ...RATES, momentum: 1 })).state.weights;
    const following = (await takeStep(fresh(), batch(4), { ...RATES, momentum: 0 })).state.weights;
    for (const [name, old] of Object.entries(before)) {
      t.deepEqual(await still.target[name]?.data(), await old.data(), name);
      t.deepEqual(await following.target[name]?.data(), await following.encoder[name]?.data(), name);
    }
  },
);

testOnEngines(test, engines, 'weight decay shrinks matrices and leaves biases and scales alone', async (t, engine) => {
  const rates = updateRates(1, ADAM, { learningRate: 0.1, weightDecay: 0.5, momentum: 1 });
  const after = async (shape: number[]) => {
    const slot = { value: tf.ones(shape), first: tf.zeros(shape), second: tf.zeros(shape) };
    const updated = await engine.updateParameter(slot, tf.zeros(shape), rates, ADAM);
    return updated.slot.value.data();
  };
  t.true(relativeDifference(await after([2, 2]), [0.95, 0.95, 0.95, 0.95]) < 1e-6);
  t.true(relativeDifference(await after([2]), [1, 1]) < 1e-6);
});
