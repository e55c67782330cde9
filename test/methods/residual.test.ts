import { join } from 'node:path';
import test from 'ava';
import { mapValues } from '../../core/base/map-values.js';
import { checkpointMetadata, copyState, loadCheckpoint } from '../../core/checkpoint/checkpoint.js';
import { writeSafetensors } from '../../core/checkpoint/safetensors.js';
import { resolveOptions } from '../../core/config/resolve.js';
import { startEngine } from '../../core/engine/start.js';
import { type Tensor, tf } from '../../core/engine/tf.js';
import { loadNetwork, transformerBackbone } from '../../core/eval/network.js';
import { prepareFeatures } from '../../core/eval/prepare-features.js';
import { readEncoder } from '../../core/exchange/read.js';
import { checkMethodOptions } from '../../core/methods/create.js';
import { METHODS } from '../../core/methods/registry.js';
import { isRunning } from '../../core/nn/batch-norm.js';
import { stepOperations } from '../../core/nn/cost.js';
import { initialNetworks, initialState, stateShapes, type TrainState, tensorsOf } from '../../core/train/state.js';
import { temporaryFolder } from '../helpers/command.js';
import { findEngines, firstOf, relativeDifference, testOnEngines, withoutCpu } from '../helpers/engines.js';
import { methodOf } from '../helpers/method.js';
import {
  contextOf,
  noiseBatch,
  numberOf,
  numbersOf,
  prepareBatchGradients,
  prepareTestStep,
} from '../helpers/training.js';

/* Methods whose encoder is a residual network of four channels. */
const SMALL = { imageSize: 16, backbone: 'resnet14', width: 1 / 16 };
const LEJEPA = { ...SMALL, method: 'lejepa', localViews: 1, localSize: 8, projectorWidth: 8, projectorDim: 4 };
const DINO = {
  ...SMALL,
  method: 'dino',
  localCrops: 1,
  localImageSize: 8,
  headDim: 8,
  bottleneckDim: 4,
  outputDim: 12,
};
const IMAGES = 6;
const RATES = { learningRate: 1e-3, weightDecay: 0.04, emaDecay: 0.9, teacherTemperature: 0.04, lastLayerSteps: 1 };
const SLOTS = ['first', 'second'];

const engines = withoutCpu(await findEngines());

for (const own of [LEJEPA, DINO]) {
  testOnEngines(
    test,
    firstOf(engines),
    `${own.method} goes on from a checkpoint in the same bits`,
    async (t, engine) => {
      const made = methodOf(own);
      const { method, definition } = made;
      const takeStep = prepareTestStep(engine, made);
      const advance = async (state: TrainState) => {
        const taken = await takeStep(state, noiseBatch(made, IMAGES, state.step + 1), RATES);
        return taken.state;
      };
      const { encoders, sizes } = method;
      const model = { method: definition.title, encoders, imageSize: SMALL.imageSize, patchSize: 1, sizes };
      const facts = { epoch: 1, data: 'noise', model, memory: null };

      let state = await advance(await advance(initialState(method, SLOTS, 0)));
      const path = join(await temporaryFolder(t), 'checkpoint.safetensors');
      await writeSafetensors(path, await copyState(state, null), checkpointMetadata(2, facts));
      state = await advance(state);
      const loaded = await loadCheckpoint(path, model, stateShapes(method, SLOTS));
      const goneOn = await advance(loaded.state);
      t.deepEqual(await numbersOf(goneOn.networks), await numbersOf(state.networks));
      for (const network of Object.values(state.networks)) {
        for (const [name, tensor] of Object.entries(network).filter(([name]) => isRunning(name))) {
          const isMean = name.endsWith('mean');
          t.true(
            (await tensor.data()).some((value) => value !== (isMean ? 0 : 1)),
            `${name} stayed as it was`,
          );
        }
      }

      const network = await loadNetwork(path);
      const kept = await loadCheckpoint(path, model, stateShapes(method, SLOTS));
      const judged = Object.values(encoders)[0] as string;
      const pixels = noiseBatch(made, IMAGES).views[own === LEJEPA ? 'global' : 'first']?.slice(
        0,
        IMAGES * 16 * 16 * 3,
      );
      const images = tf.tensor(pixels as Float32Array, [IMAGES, 16, 16, 3]);
      const expected = await made.encoder.features(kept.state.networks[judged] ?? {}, images, 1).data();
      const features = await prepareFeatures(engine, network).compute(pixels as Float32Array);
      t.true(relativeDifference(features, expected) < 1e-5);
      t.is(network.arch, `RN14 (${1 / 16}x)`);
      await t.throwsAsync(readEncoder(path, null), { name: 'UserError', message: /holds a residual network/ });
      t.throws(() => transformerBackbone(network, 'this'), { name: 'UserError', message: /^this is of vision/ });
      method.dispose();
    },
  );
}

testOnEngines(test, firstOf(engines), 'gradients of parts are those of the loss of these parts', async (t, engine) => {
  const made = methodOf(LEJEPA);
  const networks = initialNetworks(made.method, 0);
  const compute = prepareBatchGradients(engine, made, IMAGES / 2);
  const batch = noiseBatch(made, IMAGES);
  const { gradients } = await compute(networks, batch);
  const squares = [...tensorsOf(gradients)].map(([, , gradient]) => gradient.square().sum());
  const length = Math.sqrt(await numberOf(tf.addN(squares)));
  const lossAt = async (distance: number) => {
    const moved = mapValues(networks, (own, network) =>
      mapValues(own, (tensor, name) => {
        const gradient: Tensor | undefined = gradients[network]?.[name];
        return gradient ? tensor.add(gradient.mul(distance / length)) : tensor;
      }),
    );
    return numberOf((await compute(moved, batch)).loss);
  };
  const slope = ((await lossAt(1e-4)) - (await lossAt(-1e-4))) / 2e-4;
  t.true(Math.abs(slope - length) < 0.01 * length, `slope ${slope}, the gradient's length ${length}`);
  made.method.dispose();
});

for (const [title, selectiveKernels] of [
  ['', false],
  [', with selective kernels', true],
] as const) {
  test.serial(`the count is that of the products that a step does${title}`, async (t) => {
    const engine = await startEngine('wasm');
    const made = methodOf({ ...LEJEPA, selectiveKernels, projectorWidth: 20, projectorDim: 6 });
    const compute = prepareBatchGradients(engine, made);
    const { kernels } = await tf.profile(async () => {
      await compute(initialNetworks(made.method, 0), noiseBatch(made, 3), 1, contextOf(made.method));
      return tf.scalar(0);
    });
    const products = kernels.filter(({ name }) => name.includes('MatMul'));
    const counted = products.reduce((sum, { inputShapes, outputShapes }) => {
      const [left, output] = [inputShapes[0], outputShapes[0]] as [number[], number[]];
      const [rows, columns] = output.slice(-2) as [number, number];
      if (rows === 1 || left.at(-1) === 256 || columns === 256) return sum; // sums, and directions of SIGReg
      const inner = (left.at(-1) === rows ? left.at(-2) : left.at(-1)) as number;
      return sum + 2 * inner * output.reduce((all, side) => all * side, 1);
    }, 0);
    const expected = 3 * stepOperations(made.definition.passes(made.options, {}));
    t.is(counted, expected);
    made.method.dispose();
  });
}

test('what does not go with a residual network is refused', (t) => {
  const check = (flags: Record<string, unknown>) => {
    const { method, options } = resolveOptions({ methods: METHODS, flags });
    checkMethodOptions(method, options);
  };
  const refused = (flags: Record<string, unknown>, message: RegExp) =>
    t.throws(() => check(flags), { name: 'UserError', message });
  check({ method: 'lejepa', backbone: 'resnet50', width: 2, imageSize: 97 });
  for (const method of ['ijepa', 'cjepa', 'mae', 'data2vec']) {
    refused({ method, backbone: 'resnet50' }, new RegExp(`the method ${method} works on patches`));
  }
  refused({ ...DINO, dim: 32 }, /--dim 32 is of vision transformers/);
  refused({ ...DINO, recompute: true }, /--recompute is of the blocks/);
  refused({ method: 'dino', width: 2 }, /--width 2 is of residual networks/);
  refused({ method: 'simclr', selectiveKernels: true }, /--selective-kernels is of residual networks/);
  check({ method: 'byol', backbone: 'resnet200', selectiveKernels: true });
});
