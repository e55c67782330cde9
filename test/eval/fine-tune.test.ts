import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { UserError } from '../../core/base/errors.js';
import { RandomStream } from '../../core/base/random.js';
import type { Engine } from '../../core/engine/contract.js';
import { startEngine } from '../../core/engine/start.js';
import { type Tensor, tf } from '../../core/engine/tf.js';
import { fineTune, fineTuneMicroBatchSize, testedEpochs } from '../../core/eval/fine-tune.js';
import {
  checkFineTuning,
  type FineTuneChanges,
  type FineTuneSettings,
  fineTuneSettings,
  learningRates,
  paperFineTuning,
  SMALL_FINE_TUNING,
  stepRate,
} from '../../core/eval/fine-tune-settings.js';
import type { FeatureNetwork } from '../../core/eval/network.js';
import { fineTuning, labelledGroup } from '../../core/methods/fine-tune/method.js';
import type { Method, Networks } from '../../core/methods/method.js';
import { createVit } from '../../core/nn/backbone.js';
import { encoderShapes } from '../../core/nn/parameters.js';
import { adamw } from '../../core/optim/adamw.js';
import { layerWiseRates } from '../../core/optim/policy.js';
import type { LabelledData, LabelledImages } from '../../core/plugin.js';
import { prepareGradients } from '../../core/train/gradients.js';
import { splitBatch, type TrainBatch } from '../../core/train/parts.js';
import { initialNetworks, initialState, tensorsOf } from '../../core/train/state.js';
import { prepareStep } from '../../core/train/step.js';
import { findEngines, firstOf, relativeDifference, testOnEngines, withoutCpu } from '../helpers/engines.js';
import { barredImages, labelledImages } from '../helpers/labelled.js';
import { FIXTURES } from '../helpers/paths.js';

const engines = withoutCpu(await findEngines());
const first = firstOf(engines);
const ADAM = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
const VIEWS = { transform: 'squash', pixelLimit: 1e8 } as const;

/** What fixtures/fine-tune/make_golden.py wrote. */
interface Golden {
  width: number;
  depth: number;
  heads: number;
  classes: number;
  imageSize: number;
  patchSize: number;
  labels: number[];
  cases: Record<string, GoldenCase>;
}

interface GoldenCase {
  labelSmoothing: number;
  /** Of MAE; learning rates without one are given. */
  schedule?: { peak: number; final: number; warmup: number; epochs: number; epoch_steps: number };
  layerDecay: number;
  weightDecay: number;
  learningRates: number[];
  losses: number[];
  layerScales: Record<string, number>;
  after: Record<string, number[]>;
}
const golden: Golden = JSON.parse(readFileSync(join(FIXTURES, 'fine-tune', 'golden.json'), 'utf8'));

/** A network with fresh weights. */
function networkOf(dim: number, depth: number, imageSize: number, patchSize: number): FeatureNetwork {
  const size = { dim, depth, heads: 2, mlpRatio: 4 };
  const shapes = encoderShapes({ encoder: size, patchSize, imageSize });
  const { encoder } = initialNetworks({ networks: { encoder: { shapes, role: { by: 'gradient' } } } }, 3);
  return {
    encoder: encoder as FeatureNetwork['encoder'],
    size,
    patchSize,
    imageSize,
    trainedImageSize: imageSize,
    arch: `ViT ${dim}x${depth}/${patchSize}`,
    facts: {
      weights: 'random',
      method: null,
      encoder: 'target',
      isUsualEncoder: true,
      epochs: null,
      pretrainedOn: null,
      checkpoint: null,
      fingerprint: 'none',
    },
    dispose: () => tf.dispose(encoder as FeatureNetwork['encoder']),
  };
}

/** The method for a tiny encoder on images of 8 pixels. */
function tinyMethod(classes: number, layerDecay: number): Method<{ logits: Tensor }> {
  const encoder = { dim: 8, depth: 2, heads: 2, mlpRatio: 4 };
  return fineTuning(createVit({ imageSize: 8, patchSize: 4, encoder }), classes, layerDecay);
}

/** The gradients of a batch of noise. */
async function gradientsOf(
  engine: Engine,
  networks: Networks,
  { labels, smoothing, microBatchSize }: { labels: readonly number[]; smoothing: number; microBatchSize: number },
): Promise<{ loss: number; gradients: Networks }> {
  const method = tinyMethod(3, 1);
  const stream = new RandomStream(0, 'pictures');
  const image = Float32Array.from({ length: labels.length * 8 * 8 * 3 }, () => stream.normal());
  const batch: TrainBatch = { views: { image }, groups: [labelledGroup(Int32Array.from(labels), 3, smoothing)] };
  const parts = splitBatch(method.views, { image: 8 }, batch, { state: {}, rates: {} }, microBatchSize, 1);
  const { loss, gradients } = await prepareGradients(engine, method, 0, 1)(networks, parts, 1);
  return { loss: (await loss.data())[0] as number, gradients };
}

function bars(train: number, test: number): LabelledData {
  return { classes: ['above', 'below', 'upright'], train: barredImages(train, 1), test: barredImages(test, 2) };
}

const together = (networks: Networks) => tf.concat([...tensorsOf(networks)].map(([, , x]) => x.flatten())).data();

test("the rates of layers and of steps are those of MAE's fine-tuning", (t) => {
  for (const { layerDecay, layerScales } of Object.values(golden.cases)) {
    const factorOf = layerWiseRates(golden.depth, layerDecay).learningRateFactor;
    for (const [name, scale] of Object.entries(layerScales)) {
      const factor = name.startsWith('head.') ? 1 : (factorOf?.(name) as number);
      t.true(Math.abs(factor - scale) < 1e-12, name);
    }
  }
  const { schedule, learningRates: expected } = golden.cases.mae as GoldenCase;
  const { peak, final, warmup, epochs, epoch_steps } = schedule as NonNullable<GoldenCase['schedule']>;
  const settings = { ...paperFineTuning({ dim: 8 }), epochs, warmupEpochs: warmup, finalLearningRate: final };
  const rateAt = learningRates({ ...settings, baseLearningRate: (peak * 256) / 5 }, 5, epoch_steps);
  for (const [step, rate] of expected.entries()) t.true(Math.abs(rateAt(step + 1) - rate) < 1e-12);
});

const titles = {
  plain: 'losses and weights of three steps are those of PyTorch',
  mae: "losses and weights of four epochs of MAE's fine-tuning are those of PyTorch and timm",
};
for (const [name, title] of Object.entries(titles)) {
  testOnEngines(test, name === 'mae' ? engines : first, title, (t, engine) =>
    holdAgainst(t, engine, golden.cases[name] as GoldenCase),
  );
}

async function holdAgainst(t: ExecutionContext, engine: Engine, expected: GoldenCase): Promise<void> {
  const { width, imageSize, classes, labels } = golden;
  const { layerDecay, weightDecay, labelSmoothing } = expected;
  const method = tinyMethod(classes, layerDecay);
  const { encoder, head } = method.networks;
  t.deepEqual(
    [...Object.keys(encoder?.shapes ?? {}), ...Object.keys(head?.shapes ?? {}).map((name) => `head.${name}`)],
    Object.keys(expected.after),
  );
  let k = 0;
  const sines = (name: string, shape: readonly number[]) => {
    const size = shape.reduce((product, side) => product * side, 1);
    const [first, base] = [k, name.includes('norm') && name.endsWith('weight') ? 1 : 0];
    k += size;
    return Float32Array.from({ length: size }, (_, at) => base + 0.3 * Math.sin((first + at) ** 2 / 7 + 1));
  };
  const starting = Object.entries(method.networks).map(([name, spec]) => [name, { ...spec, init: sines }]);
  const start = Object.fromEntries(starting) as Method['networks'];
  const optimiser = adamw(engine, ADAM);
  const settings = { sides: { image: imageSize }, microBatchSize: 2, seed: 0 }; // 2 + 2 + 1
  const takeStep = prepareStep(engine, method, optimiser, settings);
  let state = initialState(method, optimiser.slotNames, 0, initialNetworks({ networks: start }, 0));
  const before: Record<string, ArrayLike<number>> = {};
  for (const [network, name, tensor] of tensorsOf(state.networks))
    before[network === 'head' ? `head.${name}` : name] = (await tensor.data()).slice();
  const groups = [labelledGroup(Int32Array.from(labels), classes, labelSmoothing)];
  for (const [step, learningRate] of expected.learningRates.entries()) {
    const pixels = labels.length * imageSize ** 2 * 3;
    const image = Float32Array.from({ length: pixels }, (_, at) => Math.sin(at ** 2 / 11 + step));
    const taken = await takeStep(state, { views: { image }, groups }, { learningRate, weightDecay });
    state = taken.state;
    t.true(Math.abs(taken.loss - (expected.losses[step] as number)) < 1e-5, `loss of step ${step + 1}: ${taken.loss}`);
  }
  for (const [network, own, tensor] of tensorsOf(state.networks)) {
    const name = network === 'head' ? `head.${own}` : own;
    const moved = (values: ArrayLike<number>) => {
      const change = Array.from(values, (value, at) => value - (before[name]?.[at] as number));
      // Keys' biases have no gradient but rounding errors, which AdamW makes as large as all others.
      return name.endsWith('qkv.bias') ? [...change.slice(0, width), ...change.slice(2 * width)] : change;
    };
    const difference = relativeDifference(moved(await tensor.data()), moved(expected.after[name] as number[]));
    t.true(difference < 2e-3, `${name} moved otherwise by ${difference}`);
  }
}

testOnEngines(
  test,
  first,
  'the gradient of the cross-entropy of smoothed labels agrees with finite differences',
  async (t, engine) => {
    const stream = new RandomStream(0, 'direction');
    const random = (scale: number, { shape, size }: Pick<Tensor, 'shape' | 'size'>) =>
      tf.tensor(
        Float32Array.from({ length: size }, () => scale * stream.normal()),
        shape,
      );
    const { encoder = {}, head = {} } = initialNetworks(tinyMethod(3, 1), 3);
    // A head that is not small, so that gradients reach every layer.
    const networks = { encoder, head: { ...head, weight: random(1, { shape: [3, 8], size: 24 }) } };
    const batch = { labels: [0, 1, 2, 2], smoothing: 0.3, microBatchSize: 4 };
    const { gradients } = await gradientsOf(engine, networks, batch);
    const directions = ['patch_embed.', 'blocks.0.', 'blocks.1.', 'norm.'].map((part) => ['encoder', part] as const);
    for (const [network, part] of [...directions, ['head', ''] as const]) {
      const own: Networks[string] = networks[network];
      const direction = Object.entries(own)
        .filter(([name]) => name.startsWith(part))
        .map(([name, tensor]) => [name, random(0.05, tensor)] as const);
      const lossAt = async (h: number) => {
        const moved = direction.map(([name, by]) => [name, (own[name] as Tensor).add(by.mul(h))]);
        return (await gradientsOf(engine, { ...networks, [network]: { ...own, ...Object.fromEntries(moved) } }, batch))
          .loss;
      };
      const numeric = ((await lossAt(0.1)) - (await lossAt(-0.1))) / 0.2;
      const products = direction.map(([name, by]) => by.mul(gradients[network]?.[name] as Tensor).sum());
      const analytic = (await tf.addN(products).data())[0] as number;
      t.true(Math.abs(numeric - analytic) < 0.02 * Math.abs(analytic) + 2e-5, `${part} ${numeric}, ${analytic}`);
    }
  },
);

testOnEngines(test, engines, 'a batch in parts gives the gradients of the whole batch', async (t, engine) => {
  const networks = initialNetworks(tinyMethod(3, 1), 3);
  const [whole, parts] = [
    await gradientsOf(engine, networks, { labels: [0, 1, 2, 2, 0], smoothing: 0.1, microBatchSize: 5 }),
    await gradientsOf(engine, networks, { labels: [0, 1, 2, 2, 0], smoothing: 0.1, microBatchSize: 2 }),
  ];
  t.true(Math.abs(whole.loss - parts.loss) < 1e-6);
  t.true(relativeDifference(await together(parts.gradients), await together(whole.gradients)) < 1e-5);
});

const QUICK: FineTuneSettings = {
  ...SMALL_FINE_TUNING,
  epochs: 12,
  warmupEpochs: 1,
  batchSize: 16,
  baseLearningRate: 0.3,
};

testOnEngines(test, first, 'where bars lie is learnt, the frozen encoder stays as it was', async (t, engine) => {
  const network = networkOf(16, 2, 8, 4);
  const before = await together({ encoder: network.encoder });
  const live = tf.memory().numTensors;
  const epochs: number[][] = [];
  const losses: number[] = [];
  const { ranks, curve } = await fineTune(engine, network, bars(96, 24), QUICK, {
    ...VIEWS,
    onStep: (_, __, loss) => losses.push(loss),
    onEpoch: (...epoch) => epochs.push(epoch),
  });
  t.is(tf.memory().numTensors, live);
  t.deepEqual(await together({ encoder: network.encoder }), before);
  t.is(ranks.length, 24);
  t.deepEqual(
    epochs,
    curve.map((_, at) => [at + 1, 12, Math.max(...curve.slice(0, at + 1))]),
  );
  t.true((losses.at(-1) as number) < 0.5 * (losses[0] as number), `losses ${losses}`);
  t.true((curve.at(-1) as number) > 85, `top-1 ${curve}`); // chance: 33
});

testOnEngines(test, engines, 'one seed gives the same bits, another seed others', async (t, engine) => {
  const network = networkOf(8, 1, 8, 4);
  const settings = { ...QUICK, epochs: 2, randAugment: 'rand-m9-mstd0.5-inc1', labelSmoothing: 0.1 };
  const run = async (seed: number, workers: number) => {
    const losses: number[] = [];
    const onStep = (_: number, __: number, loss: number) => losses.push(loss);
    const options = { ...VIEWS, transform: 'crop', workers, onStep } as const;
    const { ranks } = await fineTune(engine, network, bars(40, 9), { ...settings, seed }, options);
    return { losses, ranks };
  };
  const first = await run(5, 1);
  t.is(first.losses.length, 4); // two whole batches of 16 in each of two epochs
  t.deepEqual(await run(5, 8), first);
  t.notDeepEqual((await run(6, 8)).losses, first.losses);
});

testOnEngines(test, first, 'numbers that are none end fine-tuning with advice', async (t, engine) => {
  const live = tf.memory().numTensors;
  const network = networkOf(8, 1, 8, 4);
  const settings = { ...QUICK, baseLearningRate: 1e38, layerDecay: 1 };
  const error = await t.throwsAsync(fineTune(engine, network, bars(32, 6), settings, VIEWS), {
    instanceOf: UserError,
  });
  t.regex((error as UserError).report, /did not give finite numbers[\s\S]*lower learning rate/);
  network.dispose();
  t.is(tf.memory().numTensors, live);
});

testOnEngines(test, first, 'a signal ends fine-tuning between steps, and frees its memory', async (t, engine) => {
  const network = networkOf(8, 1, 8, 4);
  const live = tf.memory().numTensors;
  const stop = new AbortController();
  const steps: number[] = [];
  const onStep = (step: number) => {
    steps.push(step);
    if (step === 3) stop.abort();
  };
  await t.throwsAsync(fineTune(engine, network, bars(64, 6), QUICK, { ...VIEWS, onStep, signal: stop.signal }), {
    any: true, // the reason of the signal, which is a DOMException
    name: 'AbortError',
  });
  t.deepEqual(steps, [1, 2, 3]);
  t.is(tf.memory().numTensors, live);
});

testOnEngines(
  test,
  first,
  'images that cannot be read end fine-tuning, or are left out where that is allowed',
  async (t, engine) => {
    const network = networkOf(8, 1, 8, 4);
    const whole = bars(24, 9);
    const holed = (images: LabelledImages): LabelledImages => ({
      ...images,
      item: (index) =>
        index === 4 ? { name: 'hole.png', source: async () => Buffer.from('none') } : images.item(index),
    });
    const data = { ...whole, train: holed(whole.train), test: holed(whole.test) };
    await t.throwsAsync(fineTune(engine, network, data, QUICK, VIEWS), {
      instanceOf: UserError,
      message: /an image cannot be read: hole\.png/,
    });
    const { ranks, unreadable } = await fineTune(
      engine,
      network,
      data,
      { ...QUICK, epochs: 2, batchSize: 1 },
      {
        ...VIEWS,
        maxUnreadable: 0.2,
      },
    );
    t.is(ranks.length, 8);
    t.deepEqual(
      unreadable.map(({ name }) => name),
      ['hole.png', 'hole.png'],
    );
  },
);

test('testing takes no longer than training, and comes after the last epoch', (t) => {
  const data = (train: number, test: number) => ({
    classes: [],
    train: labelledImages(new Array(train).fill(0)),
    test: labelledImages(new Array(test).fill(0)),
  });
  t.deepEqual([...testedEpochs(3, data(100, 300))], [1, 2, 3]);
  t.deepEqual([...testedEpochs(5, data(100, 301))], [1, 3, 5]);
  t.is(testedEpochs(50, data(12811, 50000)).size, 25);
});

const UNCHANGED: FineTuneChanges = {
  epochs: null,
  warmupEpochs: null,
  learningRate: null,
  batchSize: null,
  layerDecay: null,
  weightDecay: null,
  labelSmoothing: null,
  randAugment: null,
};

test("the paper's protocol is that of its appendix A.2; what is changed is no longer called so", (t) => {
  const of = (dim: number, changes: Partial<FineTuneChanges> = {}) =>
    fineTuneSettings('paper', { dim }, 12_811, { ...UNCHANGED, ...changes }, 7);
  const { protocol, settings } = of(1024);
  t.is(protocol, 'paper');
  t.like(settings, { epochs: 50, batchSize: 512, layerDecay: 0.75, weightDecay: 0.05, labelSmoothing: 0.1, seed: 7 });
  t.is(settings.randAugment, 'rand-m9-mstd0.5-inc1');
  t.is(stepRate(settings, 512), 3e-5);
  t.deepEqual(
    [192, 768, 1280, 1408].map((dim) => of(dim).settings.weightDecay),
    [0.05, 0.05, 0.4, 0.4],
  );

  const small = (images: number) => fineTuneSettings('small', { dim: 1280 }, images, UNCHANGED, 0);
  t.deepEqual(small(4096), { protocol: 'small', settings: SMALL_FINE_TUNING });
  t.deepEqual(
    [10, 600, 20_000].map((images) => small(images).settings.batchSize),
    [16, 37, 256],
  );
  t.true(Math.abs(stepRate(small(600).settings, 37) - 1e-3) < 1e-12, 'the rate of a step stays');

  t.is(of(1024, { epochs: 50, weightDecay: 0.05, learningRate: 3e-5 }).protocol, 'paper'); // as it is anyway
  const shorter = of(1024, { epochs: 3, learningRate: 0.01, batchSize: 64 });
  t.is(shorter.protocol, 'own');
  t.like(shorter.settings, { epochs: 3, warmupEpochs: 2, batchSize: 64, labelSmoothing: 0.1 });
  t.is(stepRate(shorter.settings, 64), 0.01);
});

test('settings that make no sense are refused', (t) => {
  const data = bars(6, 6);
  t.notThrows(() => checkFineTuning(SMALL_FINE_TUNING, data));
  t.notThrows(() => checkFineTuning(paperFineTuning({ dim: 8 }), data));
  const wrong: Partial<FineTuneSettings>[] = [
    { epochs: 5 },
    { epochs: 0, warmupEpochs: 0 },
    { layerDecay: 0 },
    { layerDecay: 1.1 },
    { baseLearningRate: Number.NaN },
    { baseLearningRate: 0 },
    { batchSize: 1.5 },
    { weightDecay: -1 },
    { labelSmoothing: 1 },
    { labelSmoothing: -0.1 },
    { randAugment: 'rand-m11-mstd0.5-inc1' },
    { randAugment: 'rand-m9' },
    { randAugment: '' },
  ];
  for (const change of wrong) {
    const settings = { ...SMALL_FINE_TUNING, ...change };
    t.throws(() => checkFineTuning(settings, data), { instanceOf: UserError }, JSON.stringify(change));
  }
  t.throws(() => checkFineTuning(SMALL_FINE_TUNING, bars(6, 0)), { instanceOf: UserError, message: /test images/ });
});

test.serial('a batch that does not fit into memory is halved until it does', async (t) => {
  await startEngine('cpu');
  const engine = {
    name: 'onnx',
    concurrency: 1,
    memory: { limit: null, kind: 'planned', of: 'machine' },
  } as const;
  const backbone = createVit({
    imageSize: 224,
    patchSize: 16,
    encoder: { dim: 384, depth: 12, heads: 6, mlpRatio: 4 },
  });
  const method = fineTuning(backbone, 1000, 0.75);
  const at = (gib: number, recompute = false) =>
    fineTuneMicroBatchSize(engine, method, backbone, 256, recompute, gib * 2 ** 30);
  t.is(at(1000), 256);
  t.true(at(8) < 256 && at(8) >= 32);
  t.true(256 % at(8) === 0);
  t.is(at(7.9), at(8));
  t.true(at(8, true) > at(8), 'more where blocks are recomputed');
  t.throws(() => at(1), { instanceOf: UserError, message: /GiB with one image at once/ });
  backbone.dispose();
});
