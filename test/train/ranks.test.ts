import test from 'ava';
import { RandomStream } from '../../core/base/random.js';
import { startEngine } from '../../core/engine/start.js';
import { tf } from '../../core/engine/tf.js';
import { createOptimiser } from '../../core/optim/create.js';
import type { Communicator } from '../../core/train/communicator/communicator.js';
import { gatherJson, requireSame, SharedError } from '../../core/train/communicator/ranks.js';
import { BUCKET } from '../../core/train/communicator/sum.js';
import { groupsOfImages, shareOf, type TrainBatch } from '../../core/train/parts.js';
import { shardsOf } from '../../core/train/shards.js';
import { initialState, tensorsOf } from '../../core/train/state.js';
import { prepareStep } from '../../core/train/step.js';
import { relativeDifference } from '../helpers/engines.js';
import { methodOf, TINY } from '../helpers/method.js';
import { inRanks } from '../helpers/ranks.js';
import { ADAM, noiseBatch, numbersOf, type Trainable } from '../helpers/training.js';

const engine = await startEngine('wasm');

const noise = (length: number, ...seeds: number[]) => {
  const stream = new RandomStream(0, 'numbers', ...seeds);
  return Float32Array.from({ length }, () => stream.normal());
};

test('arrays are summed over ranks in their order, the same bits on each', async (t) => {
  const lengths = [5, 0, 1, 1000];
  for (const size of [1, 2, 3, 4]) {
    const sums = await inRanks(size, async (communicator, rank) => {
      const given = lengths.map((length, at) => noise(length, rank, at));
      return (await communicator.sum(given, 'float32')).map((sum) => sum.slice());
    });
    const expected = lengths.map((length, at) => {
      const all = Array.from({ length: size }, (_, rank) => noise(length, rank, at));
      return Float32Array.from({ length }, (_, i) => all.reduce((sum, own) => sum + (own[i] as number), 0));
    });
    for (const own of sums) t.deepEqual(own, expected, `${size} ranks`);
  }
});

test('sums of more numbers than travel at once are whole', async (t) => {
  const length = BUCKET + 12_345;
  const [sums] = await inRanks(2, async (communicator, rank) => {
    const given = Float32Array.from({ length }, (_, i) => (rank + 1) * (i % 1000));
    return (await communicator.sum([given], 'float32'))[0] as Float32Array;
  });
  t.true(sums?.every((sum, i) => sum === 3 * (i % 1000)));
});

test('in bfloat16 sums are rounded to 8 bits, and half the bytes travel', async (t) => {
  const work = (wire: 'float32' | 'bfloat16') =>
    inRanks(2, async (communicator, rank) => {
      const [sum] = await communicator.sum([noise(1000, rank)], wire);
      return { sum: (sum as Float32Array).slice(), bytes: communicator.traffic.bytes };
    });
  const [exact, rounded] = [await work('float32'), await work('bfloat16')];
  t.deepEqual(rounded[0]?.sum, rounded[1]?.sum as Float32Array);
  t.is(rounded[0]?.bytes, (exact[0]?.bytes as number) / 2);
  const difference = relativeDifference(rounded[0]?.sum as Float32Array, exact[0]?.sum as Float32Array);
  t.true(difference > 0 && difference < 0.01, String(difference));
});

test('bytes of any length are gathered and broadcast', async (t) => {
  const all = await inRanks(3, async (communicator, rank) => {
    const gathered = await communicator.gather(new Uint8Array(rank * 7).fill(rank));
    const broadcast = await communicator.broadcast(rank === 0 ? Uint8Array.of(1, 2, 3) : null);
    return { gathered, broadcast };
  });
  for (const { gathered, broadcast } of all) {
    t.deepEqual(
      gathered,
      [0, 1, 2].map((rank) => new Uint8Array(rank * 7).fill(rank)),
    );
    t.deepEqual([...broadcast], [1, 2, 3]);
  }
});

/** Images of a batch that a rank computes. */
function shareOfBatch({ method, options }: Trainable, batch: TrainBatch, images: number, communicator: Communicator) {
  const [from, to] = shareOf(images, communicator);
  const views = method.views.map(({ name, count }) => {
    const size = count * options.imageSize ** 2 * 3;
    return [name, batch.views[name]?.subarray(from * size, to * size) as Float32Array] as const;
  });
  return { views: Object.fromEntries(views), groups: groupsOfImages(batch.groups, from, to), total: images };
}

const IMAGES = 8;
const STEPS = 2;
/** Every rank cuts gradients to the norm that those of the whole batch have. */
const OPTIMISER = { ...ADAM, optimiser: 'adamw', momentum: 0, matrixRate: 1, clipGradient: 0.01 } as const;

/** Losses and weights of some steps on so many ranks, as each of them has them. */
function train(trainable: Trainable, ranks: number, isSharded = false, parts = ranks) {
  const { method, options } = trainable;
  const sides = Object.fromEntries(method.views.map(({ name }) => [name, options.imageSize]));
  return inRanks(ranks, async (communicator) => {
    const optimiser = createOptimiser(engine, OPTIMISER);
    const shards = isSharded ? shardsOf(method, communicator) : null;
    const settings = { sides, microBatchSize: Math.ceil(IMAGES / parts), seed: 0, shards };
    const takeStep = prepareStep(engine, method, optimiser, settings, communicator);
    let state = initialState(method, optimiser.slotNames, 0);
    if (shards) state = shards.keepOwn(state);
    const told: unknown[] = [];
    for (let step = 1; step <= STEPS; step++) {
      const batch = shareOfBatch(trainable, noiseBatch(trainable, IMAGES, step), IMAGES, communicator);
      const rates = { learningRate: 1e-3, weightDecay: 0.04, emaDecay: 0.9 };
      const { state: next, ...numbers } = await takeStep(state, batch, rates);
      state = next;
      told.push(numbers);
    }
    const weights = await numbersOf(state.networks);
    const kept = Object.values(state.slots).flatMap((networks) => [...tensorsOf(networks)]).length;
    const { state: whole, received } = shards ? await shards.whole(state) : { state, received: [] };
    const moments: Float32Array[] = [];
    for (const slot of communicator.rank === 0 ? Object.values(whole.slots) : []) moments.push(await numbersOf(slot));
    tf.dispose([state, received]);
    return { told, weights, moments, kept };
  });
}

const methods = { 'a method': {}, 'one with a term over the whole batch': { regularizer: 'vicreg' } };
for (const [title, options] of Object.entries(methods)) {
  test.serial(`${title} takes the same steps on 1, 2, 3 and 4 ranks`, async (t) => {
    const trainable = methodOf({ ...TINY, ...options });
    const [alone] = await train(trainable, 1);
    for (const ranks of [2, 3, 4]) {
      const all = await train(trainable, ranks);
      for (const { weights, told } of all)
        t.deepEqual(
          { weights, told },
          { weights: all[0]?.weights as Float32Array, told: all[0]?.told as unknown[] },
          'each rank has the same bits',
        );
      t.true(relativeDifference(all[0]?.weights as Float32Array, alone?.weights as Float32Array) < 1e-5);
      t.deepEqual(roundedNumbers(all[0]?.told), roundedNumbers(alone?.told), `${ranks} ranks`);
    }
  });
}

test.serial(
  'ranks that share moments take the same steps to the bit, and rank 0 has all of them to save',
  async (t) => {
    const trainable = methodOf(TINY);
    const [each, shared] = [await train(trainable, 3), await train(trainable, 3, true)];
    for (const [rank, { weights, told }] of shared.entries()) {
      t.deepEqual(weights, each[0]?.weights as Float32Array, `rank ${rank}`);
      t.deepEqual(roundedNumbers(told), roundedNumbers(each[0]?.told)); // norms are summed in another order
    }
    t.deepEqual(shared[0]?.moments, each[0]?.moments);
    t.is(
      shared.reduce((sum, { kept }) => sum + kept, 0),
      each[0]?.kept,
      'each moment is kept once',
    );
  },
);

test.serial('a residual network sees on two ranks what one process sees that computes the same halves', async (t) => {
  const trainable = methodOf({ method: 'simclr', imageSize: 16, backbone: 'resnet14', width: 1 / 16, outputDim: 4 });
  const [[halves], [whole], ranks, shared] = [
    await train(trainable, 1, false, 2),
    await train(trainable, 1),
    await train(trainable, 2),
    await train(trainable, 2, true),
  ];
  const weightsOf = (trained: { weights: Float32Array } | undefined) => trained?.weights as Float32Array;
  t.deepEqual(weightsOf(ranks[0]), weightsOf(halves));
  t.deepEqual(weightsOf(ranks[1]), weightsOf(halves));
  t.true(relativeDifference(weightsOf(whole), weightsOf(halves)) > 1e-4, 'the whole batch at once is another step');
  for (const trained of shared) t.deepEqual(weightsOf(trained), weightsOf(halves));
  t.deepEqual(shared[0]?.moments, halves?.moments);
});

test('ranks that do not have the same are told, by the first that differs', async (t) => {
  const told = await inRanks(3, async (communicator, rank) => {
    const all = await gatherJson(communicator, { images: rank === 2 ? 7 : 8 });
    const names = ['rank 0 on a', 'rank 1 on a', 'rank 2 on b'];
    return t.throws(() => requireSame({ names }, 'data', all, ({ images }) => `${images} images`), {
      instanceOf: SharedError,
    })?.message;
  });
  const message = 'the ranks do not have the same data: rank 0 on a has 8 images, rank 2 on b 7 images';
  t.deepEqual(told, [message, message, message]);
});

/** Numbers with five digits. */
function roundedNumbers(told: unknown): unknown {
  return JSON.parse(
    JSON.stringify(told, (_, value) => (typeof value === 'number' ? Number(value.toPrecision(5)) : value)),
  );
}
