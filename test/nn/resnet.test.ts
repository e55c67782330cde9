import test from 'ava';
import { RandomStream } from '../../core/base/random.js';
import { compileWhole } from '../../core/engine/contract.js';
import { type Tensor, tf } from '../../core/engine/tf.js';
import type { Method, Networks } from '../../core/methods/method.js';
import { batchNormShapes, nextRunning, normaliseBatch, observing } from '../../core/nn/batch-norm.js';
import { countParameters, initialValue, type ParameterShapes, type Parameters } from '../../core/nn/parameters.js';
import { resNetConvolutions, resNetFeatures, resNetShapes, resNetSize } from '../../core/nn/resnet.js';
import { encoderName, RESNETS } from '../../core/nn/sizes.js';
import { sgd } from '../../core/optim/momentum.js';
import { prepareGradients } from '../../core/train/gradients.js';
import { splitBatch } from '../../core/train/parts.js';
import { initialState } from '../../core/train/state.js';
import { prepareStep } from '../../core/train/step.js';
import {
  findEngines,
  firstOf,
  relativeDifference,
  testOnEngines,
  withoutCpu,
  withoutOpenvino,
} from '../helpers/engines.js';
import { type Golden, readGolden } from '../helpers/golden.js';

/* Values of the same networks in PyTorch, which learn for three steps (fixtures/resnet). */
interface Settings {
  width: number;
  selectiveKernels: boolean;
  depths: number[];
  imageSize: number;
  batch: number;
  learningRate: number;
  momentum: number;
  weightDecay: number;
  ema: number;
  losses: number[];
}

const engines = withoutCpu(await findEngines());
const cases = [
  { title: 'a ResNet', golden: await readGolden<Settings>('resnet') },
  { title: 'a ResNet with selective kernels', golden: await readGolden<Settings>('resnet/selective') },
];

type Outputs = { first: Tensor; second: Tensor };

/** Networks of a fixture's sizes: both images of each are to give what a moving average gives of the first one. */
function learner({ width, depths, selectiveKernels, ema }: Settings) {
  const size = resNetSize(depths, width, selectiveKernels);
  const shapes = resNetShapes(size);
  const features = (network: Parameters | undefined, images: Tensor | undefined) =>
    resNetFeatures(size, network as Parameters, images as Tensor);
  const method: Method<Outputs, { target: Tensor }> = {
    networks: {
      encoder: { shapes, role: { by: 'gradient' } },
      teacher: { shapes, role: { by: 'ema', of: 'encoder', decay: 'ema' } },
    },
    views: [
      { name: 'first', count: 1 },
      { name: 'second', count: 1 },
    ],
    encoders: {},
    sizes: {},
    masks: {},
    targets: ({ teacher }, { views }) => ({ target: features(teacher, views.first) }),
    outputs: ({ encoder }, { views }) => ({
      first: features(encoder, views.first),
      second: features(encoder, views.second),
    }),
    terms: [
      {
        name: 'distance',
        weight: 1,
        over: 'images',
        compute: ({ first, second }, { target }) =>
          first.sub(target).square().mean().add(second.sub(target).square().mean()),
      },
    ],
    rates: { ema: () => ema },
    logs: [],
    dispose: () => {},
  };
  return { shapes, features, method: method as Method };
}

async function learningFrom(golden: Golden<Settings>, shapes: ParameterShapes) {
  const networks: Networks = {
    encoder: golden.parameters('start.', shapes),
    teacher: golden.parameters('start.', shapes),
  };
  const pixels = async (name: string) => (await golden.tensor(name).data()) as Float32Array;
  const views = { first: await pixels('first'), second: await pixels('second') };
  return { networks, batch: { views, groups: [{ imageCount: golden.settings.batch, masks: {} }] } };
}

for (const { title, golden } of cases) {
  const { batch, imageSize, losses } = golden.settings;
  const { shapes, features, method } = learner(golden.settings);
  const sides = { first: imageSize, second: imageSize };

  testOnEngines(test, engines, `features of ${title} that does not learn are those of PyTorch`, async (t, engine) => {
    const compute = compileWhole(engine, (network: Parameters, images: Tensor) => features(network, images));
    const evaluated = await compute(golden.parameters('start.', shapes), golden.tensor('first'));
    await golden.near(t, evaluated, 'evaluated', 2e-6);
  });

  testOnEngines(
    test,
    withoutOpenvino(engines),
    `gradients of ${title}, and what it sees of a batch`,
    async (t, engine) => {
      const learns = await learningFrom(golden, shapes);
      const parts = splitBatch(method.views, sides, learns.batch, { state: {}, rates: {} }, batch, 1);
      const { loss, gradients, seen } = await prepareGradients(engine, method, 0, 1)(learns.networks, parts, 1);
      t.true(relativeDifference(await loss.data(), [losses[0] as number]) < 1e-5);
      t.deepEqual(
        Object.keys(gradients.encoder ?? {}),
        Object.keys(shapes).filter((name) => !name.includes('running')),
      );
      for (const [name, gradient] of Object.entries(gradients.encoder ?? {})) {
        await golden.near(t, gradient, `gradients.${name}`, 5e-5);
      }
      const layers = Object.keys(shapes).filter((name) => name.endsWith('running_mean')).length;
      t.is(Object.keys(seen).length, 3 * layers, 'the teacher sees one view, the encoder two');
    },
  );

  testOnEngines(
    test,
    engines,
    `three steps of ${title}: weights, averages and running statistics`,
    async (t, engine) => {
      const learns = await learningFrom(golden, shapes);
      const { momentum } = golden.settings;
      const optimiser = sgd(engine, { momentum, nesterov: false });
      const takeStep = prepareStep(engine, method, optimiser, { sides, microBatchSize: batch, seed: 0 });
      let state = { ...initialState(method, optimiser.slotNames, 0), networks: learns.networks };
      for (const expected of losses) {
        const { learningRate, weightDecay, ema } = golden.settings;
        const taken = await takeStep(state, learns.batch, { learningRate, weightDecay, ema });
        state = taken.state;
        t.true(Math.abs(taken.loss - expected) < 1e-4 * expected, `loss ${taken.loss}, expected ${expected}`);
      }
      t.deepEqual(Object.keys(state.networks.encoder ?? {}), Object.keys(shapes));
      for (const [network, own] of Object.entries(state.networks)) {
        for (const [name, tensor] of Object.entries(own))
          await golden.near(t, tensor, `after.${network}.${name}`, 5e-5);
      }
    },
  );
}

testOnEngines(test, firstOf(engines), 'running statistics of parts are those of the whole batch', async (t) => {
  const parameters = { 'bn.weight': tf.ones([2]), 'bn.bias': tf.zeros([2]) };
  const running = { 'bn.running_mean': tf.tensor1d([1, 5]), 'bn.running_var': tf.tensor1d([2, 3]) };
  const network = { ...parameters, ...running };
  t.deepEqual(Object.keys(network), Object.keys(batchNormShapes('bn', 2)));
  const stream = new RandomStream(0, 'images');
  const x = tf.tensor4d(
    Float32Array.from({ length: 60 }, () => 3 + stream.normal()),
    [2, 5, 3, 2],
  );
  const see = (images: Tensor) => observing({ own: network }, () => normaliseBatch(network, 'bn', images)).seen;
  const sums = see(x);
  const parts = (tf.split(x, [3, 2], 1) as Tensor[]).map(see);
  t.deepEqual(Object.keys(sums), ['own bn 0']);
  const added = { 'own bn 0': tf.addN(parts.map((seen) => seen['own bn 0'] as Tensor)) };
  const [whole, ofParts] = [nextRunning({ own: network }, sums), nextRunning({ own: network }, added)];
  const rows = (await x.reshape([2, 30]).array()) as number[][];
  const means = rows.map((row) => row.reduce((sum, value) => sum + value, 0) / 30);
  const variances = rows.map((row, at) => row.reduce((sum, v) => sum + (v - (means[at] as number)) ** 2, 0) / 29);
  const expected = {
    'bn.running_mean': [1, 5].map((before, at) => 0.9 * before + 0.1 * (means[at] as number)),
    'bn.running_var': [2, 3].map((before, at) => 0.9 * before + 0.1 * (variances[at] as number)),
  };
  for (const [name, values] of Object.entries(expected)) {
    for (const { own = {} } of [whole, ofParts]) {
      t.true(relativeDifference(await (own[name] as Tensor).data(), values) < 1e-6);
    }
  }
});

test('names, shapes and first values are those of torchvision', (t) => {
  const shapes = resNetShapes(resNetSize(RESNETS.resnet50, 64));
  const trained = Object.entries(shapes).filter(([name]) => !name.includes('running'));
  const count = trained.reduce((sum, [, shape]) => sum + shape.reduce((product, side) => product * side, 1), 0);
  t.is(count, 25_557_032 - 2_049_000, 'the parameters of torchvision without its classifier');
  t.deepEqual(shapes['layer3.0.downsample.0.weight'], [1024, 512, 1, 1]);
  t.deepEqual(shapes['layer4.2.conv2.weight'], [512, 512, 3, 3]);
  t.like(shapes, { 'conv1.weight': [64, 3, 7, 7], 'bn1.running_var': [64], 'layer1.0.downsample.1.bias': [256] });
  t.false('layer1.1.downsample.0.weight' in shapes);
  const products = resNetConvolutions(resNetSize(RESNETS.resnet50, 64), 224).map(
    ({ shape, side }) => side ** 2 * shape.reduce((product, length) => product * length, 1),
  );
  t.is(
    products.reduce((sum, each) => sum + each, 0),
    4_087_136_256,
    'multiplications of the 4.09 G that fvcore counts',
  );

  const stream = new RandomStream(0, 'first values');
  const first = (name: string, init?: 'scaled' | 'reference') => [
    ...initialValue(name, shapes[name] ?? [], stream, init),
  ];
  t.true(first('bn1.running_mean').every((value) => value === 0));
  t.true(first('bn1.running_var').every((value) => value === 1));
  t.true(first('layer2.1.bn3.weight').every((value) => value === 0));
  t.true(first('layer2.1.bn3.weight', 'reference').every((value) => value === 1));
  t.true(first('layer2.1.bn2.weight').every((value) => value === 1));
  const weights = first('layer2.0.downsample.0.weight');
  const std = Math.sqrt(weights.reduce((sum, value) => sum + value ** 2, 0) / weights.length);
  t.true(Math.abs(std - Math.sqrt(2 / 512)) < 1e-3);
});

test('networks are as large as those of SimCLR v2', (t) => {
  // The table of google-research/simclr counts running statistics as well, in millions.
  const published = [
    ['resnet50', 1, false, 24],
    ['resnet50', 1, true, 35],
    ['resnet50', 2, true, 140],
    ['resnet152', 2, false, 233],
    ['resnet152', 2, true, 354],
    ['resnet152', 3, true, 795],
  ] as const;
  for (const [name, factor, selectiveKernels, millions] of published) {
    const size = resNetSize(RESNETS[name], 64 * factor, selectiveKernels);
    t.is(Math.round(countParameters(resNetShapes(size)) / 1e6), millions, encoderName(size, 1));
  }
  t.is(encoderName(resNetSize(RESNETS.resnet152, 128, true), 1), 'RN152 (2x+SK)');
  t.is(encoderName(resNetSize(RESNETS.resnet200, 64), 1), 'RN200');
});
