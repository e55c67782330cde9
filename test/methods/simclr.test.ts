import test from 'ava';
import type { Scalar, Tensor } from '../../core/engine/tf.js';
import { drawBatch, viewSides } from '../../core/methods/batch.js';
import type { Part } from '../../core/methods/method.js';
import { applyMlpHead } from '../../core/nn/mlp-head.js';
import { lars } from '../../core/optim/momentum.js';
import { splitBatch } from '../../core/train/parts.js';
import { initialNetworks } from '../../core/train/state.js';
import { findEngines, relativeDifference, testOnEngines, withoutCpu } from '../helpers/engines.js';
import { readGolden } from '../helpers/golden.js';
import { methodOf } from '../helpers/method.js';
import { checkGradients, checkSteps, type Trained } from '../helpers/trained.js';
import { noiseBatch, numberOf, numbersOf, prepareBatchGradients } from '../helpers/training.js';

/* Values of the official code's formulas in PyTorch (fixtures/simclr). */
interface Settings {
  imageSize: number;
  patchSize: number;
  batch: number;
  encoder: { dim: number; depth: number; heads: number };
  head: { layers: number; width: number; outputs: number };
  temperature: number;
  optimiser: { learningRate: number; momentum: number; weightDecay: number };
  losses: number[];
}

const engines = withoutCpu(await findEngines());

testOnEngines(test, engines, 'features, projections, loss and gradients of SimCLR', async (t, engine) => {
  const { golden, trained } = await load();
  await checkGradients(t, engine, golden, trained, golden.settings.losses[0] as number, 'gradients.');
  const { method, networks, batch, imageSize } = trained;
  const context = { state: {}, rates: {} };
  const [part] = splitBatch(method.views, viewSides(method, imageSize), batch, context, 6, 1) as [Part];
  const features = method.outputs(networks, part).features as Tensor;
  await golden.near(t, features, 'features', 2e-6);
  await golden.near(t, applyMlpHead(networks.head ?? {}, features), 'projections', 1e-5);
});

testOnEngines(test, engines, 'three steps of SimCLR with LARS', async (t, engine) => {
  const { golden, trained } = await load();
  const { optimiser, losses } = golden.settings;
  const { momentum } = optimiser;
  await checkSteps(
    t,
    engine,
    golden,
    trained,
    losses,
    lars(engine, { momentum, nesterov: false }),
    optimiser,
    () => 'after.',
  );
});

const SMALL = { method: 'simclr', imageSize: 8, patchSize: 4, dim: 8, depth: 1, heads: 2 };

test('the head has batch norm after every layer, and as many layers as are asked for', (t) => {
  const shapesOf = (flags: object) => methodOf({ ...SMALL, ...flags }).method.networks.head?.shapes;
  t.deepEqual(shapesOf({}), {
    'fc1.weight': [8, 8],
    'norm1.weight': [8],
    'norm1.bias': [8],
    'fc2.weight': [8, 8],
    'norm2.weight': [8],
    'norm2.bias': [8],
    'fc3.weight': [128, 8],
    'norm3.weight': [128],
  });
  t.deepEqual(shapesOf({ headLayers: 1, outputDim: 4 }), { 'fc1.weight': [4, 8], 'norm1.weight': [4] });
  t.deepEqual(Object.keys(shapesOf({ headLayers: 2, headDim: 5 }) ?? {}).length, 5);
});

testOnEngines(test, engines, 'a regularizer sees the features, of the whole batch too', async (t, engine) => {
  const made = methodOf({ ...SMALL, regularizer: 'isotropy', regularizerWeight: 0.5 });
  const plain = methodOf(SMALL);
  const networks = initialNetworks(made.method, 0);
  const whole = await prepareBatchGradients(engine, made)(networks, noiseBatch(made, 5));
  const alone = await prepareBatchGradients(engine, plain)(networks, noiseBatch(plain, 5));
  t.deepEqual(Object.keys(whole.terms), ['ntXent', 'regularizer']);
  const [loss, without, value] = await Promise.all(
    [whole.loss, alone.loss, whole.terms.regularizer as Scalar].map(numberOf),
  );
  t.true(Math.abs(loss - without - 0.5 * value) < 1e-4 * loss, `${loss}, ${without}, ${value}`);
  const parts = await prepareBatchGradients(engine, made, 2)(networks, noiseBatch(made, 5)); // 2 + 2 + 1
  t.true(relativeDifference(await parts.loss.data(), await whole.loss.data()) < 1e-5);
  t.true(relativeDifference(await numbersOf(parts.gradients), await numbersOf(whole.gradients)) < 1e-5);
  const bias = (of: typeof whole) => of.gradients.encoder?.['norm.bias']?.data() as Promise<Float32Array>;
  const length = async (of: typeof whole) => Math.hypot(...(await bias(of)));
  const [open, chosen] = [await length(alone), await length(whole)];
  t.true(open < 1e-3 * chosen, `without it the loss leaves the mean of features open: ${open}, ${chosen}`);
});

async function load() {
  const golden = await readGolden<Settings>('simclr');
  const { imageSize, patchSize, encoder, head, temperature, batch: images } = golden.settings;
  const { method } = methodOf({
    ...{ method: 'simclr', imageSize, patchSize, ...encoder, temperature },
    ...{ headLayers: head.layers, headDim: head.width, outputDim: head.outputs },
  });
  const networks = Object.fromEntries(
    Object.entries(method.networks).map(([name, { shapes }]) => [name, golden.parameters(`weights.${name}.`, shapes)]),
  );
  const views = { view: (await golden.tensor('views.view').data()) as Float32Array };
  const batch = { views, groups: drawBatch(method, 0, 1, images).groups };
  const withoutEffect = ['encoder.norm.bias']; // all features move with it, which batch norm takes away
  const nameOf = (network: string, parameter: string) => `${network}.${parameter}`;
  const trained: Trained = { method, networks, batch, imageSize, withoutEffect, nameOf };
  return { golden, trained };
}
