import { readdirSync } from 'node:fs';
import test from 'ava';
import { UserError } from '../../core/base/errors.js';
import { RandomStream } from '../../core/base/random.js';
import { toNormalised } from '../../core/data/normalise.js';
import { type Tensor, tf } from '../../core/engine/tf.js';
import { trainAttentive } from '../../core/eval/attentive.js';
import { attentiveProtocol } from '../../core/eval/attentive-settings.js';
import { attentiveMethod, prepareAttentiveStep, type TokenPiece } from '../../core/eval/attentive-step.js';
import { loadNetwork } from '../../core/eval/network.js';
import { prepareTokens } from '../../core/eval/prepare-features.js';
import { storeTokens, type TokenStore } from '../../core/eval/token-store.js';
import { testView } from '../../core/eval/views.js';
import { labelledGroup } from '../../core/methods/fine-tune/method.js';
import type { Networks } from '../../core/methods/method.js';
import { attentivePool } from '../../core/nn/attentive-pooler.js';
import type { VitSize } from '../../core/nn/sizes.js';
import { learningRateAt, weightDecayAt } from '../../core/optim/schedules.js';
import { temporaryFolder } from '../helpers/command.js';
import { findEngines, firstOf, relativeDifference, testOnEngines, withoutCpu } from '../helpers/engines.js';
import { EXTRACTION, smallCheckpoint, someImages } from '../helpers/features.js';
import { readGolden } from '../helpers/golden.js';
import { checkGradients } from '../helpers/trained.js';

const engines = withoutCpu(await findEngines());
const first = firstOf(engines);

/** Computed with PyTorch by fixtures/attentive/make_golden.py. */
const golden = await readGolden<{
  size: VitSize;
  patches: number;
  classes: number;
  labels: number[];
  learningRate: number;
  weightDecay: number;
  finalWeightDecay: number;
  clip: number;
  losses: number[];
}>('attentive');
const { size, classes, patches } = golden.settings;
const LABELS = Int32Array.from(golden.settings.labels);
const STEPS = golden.settings.losses.length;

/** A batch in two pieces that are not alike. */
async function* inPieces(tokens: Float32Array): AsyncGenerator<TokenPiece> {
  for (const [from, to] of [
    [0, 4],
    [4, LABELS.length],
  ] as const) {
    const part = tokens.subarray(from * patches * size.dim, to * patches * size.dim);
    yield { tokens: part, shape: [to - from, patches, size.dim], labels: LABELS.subarray(from, to) };
  }
}

/** How far biases of keys and values are apart in their second half: those of keys change nothing, and move by rounding. */
async function ofValues(...biases: [Tensor, Tensor]): Promise<number> {
  const [actual, expected] = await Promise.all(biases.map((bias) => bias.slice([size.dim], [size.dim]).data()));
  return relativeDifference(actual as Float32Array, expected as Float32Array);
}

const startingNetworks = (): Networks =>
  Object.fromEntries(
    Object.entries(attentiveMethod(size, classes).networks).map(([name, { shapes }]) => [
      name,
      golden.parameters(`weights.${name}.`, shapes),
    ]),
  );

testOnEngines(test, engines, 'the attentive probe learns as in PyTorch', async (t, engine) => {
  const { learningRate, weightDecay, finalWeightDecay, clip, losses } = golden.settings;
  const method = attentiveMethod(size, classes);
  const shape = [LABELS.length, patches, size.dim] as const;
  const tokens = [];
  for (let at = 0; at < STEPS; at++) tokens.push((await golden.tensor(`tokens.${at}`).data()) as Float32Array);
  const pooled = attentivePool(startingNetworks().pooler ?? {}, size, golden.tensor('tokens.0'));
  await golden.near(t, pooled, 'pooled', 2e-6);
  const group = labelledGroup(LABELS, classes, 0);
  const values = { ...group.values, tokens: { shape, values: tokens[0] as Float32Array } };
  const trained = {
    method,
    networks: startingNetworks(),
    batch: { views: {}, groups: [{ ...group, values }] },
    imageSize: 0,
    nameOf: (network: string, parameter: string) => `${network}.${parameter}`,
  };
  await checkGradients(t, engine, golden, trained, losses[0] as number, 'gradients.');

  const { start, step } = prepareAttentiveStep(engine, method, classes, clip);
  let state = start(0, startingNetworks());
  const length = { stepsPerEpoch: 1, epochs: STEPS, scheduleStretch: 1 };
  for (let at = 0; at < STEPS; at++) {
    const rate = { startLearningRate: learningRate, learningRate, finalLearningRate: 0, warmupEpochs: 0 };
    const rates = {
      learningRate: learningRateAt(at + 1, rate, length),
      weightDecay: weightDecayAt(at + 1, { weightDecay, finalWeightDecay, weightDecaySchedule: 'cosine' }, length),
    };
    const taken = await step(state, inPieces(tokens[at] as Float32Array), LABELS.length, rates);
    t.true(Math.abs(taken.loss - (losses[at] as number)) < 2e-6, `step ${at + 1}: ${taken.loss}`);
    state = taken.state;
  }
  for (const [network, parameters] of Object.entries(state.networks)) {
    for (const [name, tensor] of Object.entries(parameters)) {
      const stored = `after.${network}.${name}`;
      if (!name.endsWith('kv.bias')) await golden.near(t, tensor, stored, 2e-5);
      else t.true((await ofValues(tensor, golden.tensor(stored))) < 2e-5, stored);
    }
  }
  tf.dispose(state);
});

/** Images of as many classes, which only the token at a place that varies tells. */
function hiddenSigns(rows: number, seed: number): TokenStore {
  const [patches, width] = [6, 8];
  const labels = Int32Array.from({ length: rows }, (_, row) => row % 3);
  const tokens = Float32Array.from({ length: rows * patches * width }, (_, at) => {
    const row = Math.floor(at / (patches * width));
    const stream = new RandomStream(seed, 'place', row);
    const place = stream.integer(0, patches - 1);
    const isSign = Math.floor(at / width) % patches === place && at % width === labels[row];
    return isSign ? 4 : 0.5 * new RandomStream(seed, 'noise', at).normal();
  });
  return {
    ...{ rows, patches, width, labels },
    read: async (numbers) => {
      const length = patches * width;
      const read = new Float32Array(numbers.length * length);
      for (const [at, number] of numbers.entries())
        read.set(tokens.subarray(number * length, (number + 1) * length), at * length);
      return read;
    },
    close: async () => {},
  };
}

testOnEngines(
  test,
  first,
  'a query finds the one patch that tells the class, with the same bits each time',
  async (t, engine) => {
    const data = { train: hiddenSigns(150, 1), test: hiddenSigns(60, 2), classes: 3 };
    const settings = { ...attentiveProtocol('quick', 150), epochs: 12, learningRate: 5e-3 };
    const size = { dim: 8, depth: 1, heads: 2, mlpRatio: 4 };
    const epochs: number[] = [];
    const onEpoch = (_: number, __: number, top1: number) => void epochs.push(top1);
    const before = tf.memory().numTensors;
    const one = await trainAttentive(engine, size, data, settings, { seed: 3, onEpoch });
    t.is(tf.memory().numTensors, before);
    t.deepEqual(one.curve, epochs);
    t.true((one.curve.at(-1) ?? 0) > 70, `${one.curve}`);
    t.deepEqual(await trainAttentive(engine, size, data, settings, { seed: 3 }), one);
    const other = await trainAttentive(engine, size, data, { ...settings, epochs: 1 }, { seed: 4 });
    t.notDeepEqual(other.predicted, one.predicted);
    const broken = { ...data, train: { ...data.train, read: async () => new Float32Array(16 * 48).fill(Number.NaN) } };
    await t.throwsAsync(trainAttentive(engine, size, broken, settings, { seed: 3 }), {
      instanceOf: UserError,
      message: /step 1 did not give finite numbers/,
    });
    const stopped = { seed: 3, signal: AbortSignal.abort(new Error('stopped')) };
    await t.throwsAsync(trainAttentive(engine, size, data, settings, stopped), { message: 'stopped' });
    t.is(tf.memory().numTensors, before);
  },
);

testOnEngines(test, first, 'stored tokens are those of the encoder, and leave no file', async (t, engine) => {
  const network = await loadNetwork(await smallCheckpoint(t));
  const images = someImages(6);
  const cache = await temporaryFolder(t);
  const store = await storeTokens(engine, network, images, { ...EXTRACTION, cache });
  t.deepEqual(readdirSync(cache), []);
  t.like(store, { rows: 6, patches: 16, width: 16 });
  t.deepEqual([...store.labels], [0, 1, 2, 0, 1, 2]);
  const read = await store.read(Uint32Array.of(4, 1));
  const { compute, dispose } = prepareTokens(engine, network, EXTRACTION.batchSize);
  const view = (index: number) => testView(images.item(index), { ...EXTRACTION, imageSize: network.imageSize });
  t.deepEqual(read, await compute(toNormalised([await view(4), await view(1)])));
  await t.throwsAsync(store.read(Uint32Array.of(6)), { message: /no tokens of image 6 of 6/ });
  await store.close();
  dispose();
  network.dispose();
});

test('small data take 500 steps at least', (t) => {
  t.like(attentiveProtocol('paper', 10), { epochs: 20, batchSize: 1024 });
  t.like(attentiveProtocol('quick', 160), { epochs: 50, batchSize: 16 });
  t.like(attentiveProtocol('quick', 100_000), { epochs: 20, batchSize: 256 });
});
