import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { UserError } from '../../core/base/errors.js';
import { RandomStream } from '../../core/base/random.js';
import type { Engine } from '../../core/engine/contract.js';
import { type Tensor, tf } from '../../core/engine/tf.js';
import { type Classifier, createClassifier, initialClassifier } from '../../core/eval/classifier.js';
import { type FineTuneSettings, fineTune } from '../../core/eval/fine-tune.js';
import { learningRates } from '../../core/eval/fine-tune-epochs.js';
import { fineTuneMicroBatchSize } from '../../core/eval/fine-tune-memory.js';
import {
  type FineTuneChanges,
  fineTuneSettings,
  paperFineTuning,
  SMALL_FINE_TUNING,
} from '../../core/eval/fine-tune-protocols.js';
import { checkFineTuning, stepRate, testedEpochs } from '../../core/eval/fine-tune-settings.js';
import {
  initialFineTuneState,
  prepareClassifierGradients,
  prepareFineTuneStep,
} from '../../core/eval/fine-tune-step.js';
import type { LabelledBatch } from '../../core/eval/labelled-batches.js';
import type { FeatureNetwork } from '../../core/eval/network.js';
import { encoderShapes, initialise, type Parameters } from '../../core/nn/parameters.js';
import { layerRates } from '../../core/optim/layer-rates.js';
import type { LabelledData, LabelledImages } from '../../core/plugin.js';
import { findEngines, relativeDifference, testOnEngines } from '../helpers/engines.js';
import { barredImages, labelledImages } from '../helpers/labelled.js';
import { FIXTURES } from '../helpers/paths.js';

const engines = await findEngines();
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
  const encoder = initialise(encoderShapes({ encoder: size, patchSize }), 3, 'encoder', 'scaled');
  return {
    encoder,
    size,
    patchSize,
    imageSize,
    trainedImageSize: imageSize,
    arch: `ViT ${dim}x${depth}/${patchSize}`,
    facts: {
      weights: 'random',
      encoder: 'target',
      epochs: null,
      pretrainedOn: null,
      checkpoint: null,
      fingerprint: 'none',
    },
    dispose: () => tf.dispose(encoder),
  };
}

function pictures({ imageSize }: Classifier, labels: readonly number[]): LabelledBatch {
  const stream = new RandomStream(0, 'pictures');
  const images = Float32Array.from({ length: labels.length * imageSize ** 2 * 3 }, () => stream.normal());
  return { images, labels: Int32Array.from(labels) };
}

function bars(train: number, test: number): LabelledData {
  return { classes: ['above', 'below', 'upright'], train: barredImages(train, 1), test: barredImages(test, 2) };
}

const together = (parameters: Parameters) => tf.concat(Object.values(parameters).map((x) => x.flatten())).data();

test('the embedding learns slowest, the norm and the head with the whole rate', (t) => {
  const names = ['patch_embed.proj.bias', 'blocks.0.norm1.weight', 'blocks.1.mlp.fc2.bias', 'norm.bias', 'head.weight'];
  t.deepEqual(Object.values(layerRates(names, 2, 0.5)), [0.125, 0.25, 0.5, 1, 1]);
  t.deepEqual(Object.values(layerRates(names, 2, 1)), [1, 1, 1, 1, 1]);
  t.is(layerRates(['blocks.11.norm1.bias'], 12, 0.75)['blocks.11.norm1.bias'], 0.75);
  t.throws(() => layerRates(['blocks.2.norm1.weight'], 2, 0.5));
  t.throws(() => layerRates(['pos_embed'], 2, 0.5));
});

test("layer-wise rates are those of MAE's grouping, and so are the rates of its steps", (t) => {
  for (const { after, layerDecay, layerScales } of Object.values(golden.cases)) {
    const rates = layerRates(Object.keys(after), golden.depth, layerDecay);
    t.deepEqual(Object.keys(rates), Object.keys(layerScales));
    for (const [name, scale] of Object.entries(layerScales)) t.true(Math.abs((rates[name] as number) - scale) < 1e-12);
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
  testOnEngines(test, engines, title, (t, engine) => holdAgainst(t, engine, golden.cases[name] as GoldenCase));
}

async function holdAgainst(t: ExecutionContext, engine: Engine, expected: GoldenCase): Promise<void> {
  const { width, depth, imageSize, patchSize, classes, labels } = golden;
  const { layerDecay, weightDecay, labelSmoothing } = expected;
  const network = networkOf(width, depth, imageSize, patchSize);
  const classifier = createClassifier(network, classes);
  const shapes = Object.entries(initialClassifier(classifier, network.encoder, 1, 0)).map(
    ([name, { shape }]) => [name, shape] as const,
  );
  let k = 0;
  const before = shapes.map(([name, shape]): [string, Float32Array, number[]] => {
    const base = name.includes('norm') && name.endsWith('weight') ? 1 : 0;
    const size = shape.reduce((product, side) => product * side, 1);
    const first = k;
    k += size;
    return [
      name,
      Float32Array.from({ length: size }, (_, at) => base + 0.3 * Math.sin((first + at) ** 2 / 7 + 1)),
      shape,
    ];
  });
  t.deepEqual(
    before.map(([name]) => name),
    Object.keys(expected.after),
  );
  const weights = Object.fromEntries(before.map(([name, values, shape]) => [name, tf.tensor(values.slice(), shape)]));
  const takeStep = prepareFineTuneStep(engine, classifier, ADAM, { microBatchSize: 2, labelSmoothing }); // 2 + 2 + 1
  const factors = layerRates(Object.keys(weights), depth, layerDecay);
  let state = initialFineTuneState(weights);
  for (const [step, learningRate] of expected.learningRates.entries()) {
    const pixels = labels.length * imageSize ** 2 * 3;
    const images = Float32Array.from({ length: pixels }, (_, at) => Math.sin(at ** 2 / 11 + step));
    const taken = await takeStep(
      state,
      { images, labels: Int32Array.from(labels) },
      { learningRate, weightDecay, factors },
    );
    state = taken.state;
    t.true(Math.abs(taken.loss - (expected.losses[step] as number)) < 1e-5, `loss of step ${step + 1}: ${taken.loss}`);
  }
  for (const [name, start] of before) {
    const moved = (values: ArrayLike<number>) => {
      const change = Array.from(values, (value, at) => value - (start[at] as number));
      // Keys' biases have no gradient but rounding errors, which AdamW makes as large as all others.
      return name.endsWith('qkv.bias') ? [...change.slice(0, width), ...change.slice(2 * width)] : change;
    };
    const difference = relativeDifference(
      moved(await (state.weights[name] as Tensor).data()),
      moved(expected.after[name] as number[]),
    );
    t.true(difference < 2e-3, `${name} moved otherwise by ${difference}`);
  }
}

testOnEngines(
  test,
  engines,
  'the gradient of the cross-entropy of smoothed labels agrees with finite differences',
  async (t, engine) => {
    const network = networkOf(8, 2, 8, 4);
    const classifier = createClassifier(network, 3);
    const batch = pictures(classifier, [0, 1, 2, 2]);
    const compute = prepareClassifierGradients(engine, classifier, { microBatchSize: 4, labelSmoothing: 0.3 });
    const stream = new RandomStream(0, 'direction');
    const random = (scale: number, shape: number[], size: number) =>
      tf.tensor(
        Float32Array.from({ length: size }, () => scale * stream.normal()),
        shape,
      );
    // A head that is not small, so that gradients reach every layer.
    const weights = { ...initialClassifier(classifier, network.encoder, 1, 0), 'head.weight': random(1, [3, 8], 24) };
    const { gradients } = await compute(weights, batch);
    t.deepEqual(Object.keys(gradients), Object.keys(weights));
    for (const part of ['patch_embed.', 'blocks.0.', 'blocks.1.', 'norm.', 'head.']) {
      const names = Object.keys(weights).filter((name) => name.startsWith(part));
      const direction = names.map((name) => {
        const { shape, size } = (weights as Parameters)[name] as Tensor;
        return [name, random(0.05, shape, size)] as const;
      });
      const lossAt = async (h: number) => {
        const moved = direction.map(([name, by]) => [name, ((weights as Parameters)[name] as Tensor).add(by.mul(h))]);
        return (await compute({ ...weights, ...Object.fromEntries(moved) }, batch)).loss;
      };
      const numeric = ((await lossAt(0.1)) - (await lossAt(-0.1))) / 0.2;
      const slopes = direction.map(([name, by]) => by.mul(gradients[name] as Tensor).sum());
      const analytic = (await tf.addN(slopes).data())[0] as number;
      t.true(Math.abs(numeric - analytic) < 0.02 * Math.abs(analytic) + 2e-5, `${part} ${numeric}, ${analytic}`);
    }
  },
);

testOnEngines(test, engines, 'a batch in parts gives the gradients of the whole batch', async (t, engine) => {
  const network = networkOf(8, 2, 8, 4);
  const classifier = createClassifier(network, 3);
  const weights = initialClassifier(classifier, network.encoder, 0.01, 0);
  const batch = pictures(classifier, [0, 1, 2, 2, 0]);
  const whole = await prepareClassifierGradients(engine, classifier, { microBatchSize: 5, labelSmoothing: 0.1 })(
    weights,
    batch,
  );
  const parts = await prepareClassifierGradients(engine, classifier, { microBatchSize: 2, labelSmoothing: 0.1 })(
    weights,
    batch,
  );
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

testOnEngines(test, engines, 'where bars lie is learnt, the frozen encoder stays as it was', async (t, engine) => {
  const network = networkOf(16, 2, 8, 4);
  const before = await together(network.encoder);
  const live = tf.memory().numTensors;
  const epochs: (number | null)[] = [];
  const data = bars(96, 24);
  const { ranks, curve, curveEpochs, losses } = await fineTune(engine, network, data, QUICK, {
    ...VIEWS,
    onEpoch: (_, __, top1) => epochs.push(top1),
  });
  t.is(tf.memory().numTensors, live);
  t.deepEqual(await together(network.encoder), before);
  t.is(ranks.length, 24);
  t.deepEqual(curve, epochs);
  t.is(curveEpochs.at(-1), 12);
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

testOnEngines(test, engines, 'numbers that are none end fine-tuning with advice', async (t, engine) => {
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

testOnEngines(test, engines, 'a signal ends fine-tuning between steps, and frees its memory', async (t, engine) => {
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
  engines,
  'images that cannot be read end fine-tuning, or are left out where that is allowed',
  async (t, engine) => {
    const network = networkOf(8, 1, 8, 4);
    const whole = bars(40, 9);
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
      { ...QUICK, epochs: 3, batchSize: 1 },
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

test('a batch that does not fit into memory is halved until it does', (t) => {
  const engine = { name: 'onnx', memory: { limit: null, kind: 'planned', of: 'machine' } } as const;
  const small = { size: { dim: 384, depth: 12, heads: 6, mlpRatio: 4 }, patchSize: 16, imageSize: 224 };
  const at = (gib: number) => fineTuneMicroBatchSize(engine, small, 256, gib * 2 ** 30);
  t.is(at(1000), 256);
  t.true(at(8) < 256 && at(8) >= 32);
  t.true(256 % at(8) === 0);
  t.is(at(7.9), at(8));
  t.throws(() => at(1), { instanceOf: UserError, message: /GiB with one image at once/ });
});
