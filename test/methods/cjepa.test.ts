import test from 'ava';
import type { Tensor } from '../../core/engine/tf.js';
import type { Part } from '../../core/methods/method.js';
import { splitBatch } from '../../core/train/parts.js';
import { findEngines, firstOf, testOnEngines, withoutCpu } from '../helpers/engines.js';
import { readGolden } from '../helpers/golden.js';
import { methodOf } from '../helpers/method.js';
import { checkGradients, checkSteps, type Trained } from '../helpers/trained.js';

/* Values of I-JEPA with the terms of facebookresearch/vicreg, in PyTorch (fixtures/cjepa). */
interface Settings {
  imageSize: number;
  patchSize: number;
  encoder: { dim: number; depth: number; heads: number };
  predictor: { dim: number; depth: number };
  /** Patches of each mask of each image. */
  context: number[][][];
  targets: number[][][];
  optimiser: { learningRate: number; beta1: number; beta2: number; epsilon: number; weightDecay: number };
  emaDecay: number;
  losses: number[];
}

const engines = withoutCpu(await findEngines());

testOnEngines(test, engines, 'loss and gradients of C-JEPA', async (t, engine) => {
  const { golden, trained } = await load();
  await checkGradients(t, engine, golden, trained, golden.settings.losses[0] as number, 'gradients.');
});

testOnEngines(test, engines, 'targets, predictions and three steps of C-JEPA', async (t, engine) => {
  const { golden, trained } = await load();
  const { method, networks, batch, imageSize } = trained;
  const [part] = splitBatch(method.views, { image: imageSize }, batch, { state: {}, rates: {} }, 3, 1) as [Part];
  await golden.near(t, method.targets(networks, part).target as Tensor, 'targets', 2e-6);
  const { context, predicted } = method.outputs(networks, part) as { context: Tensor; predicted: Tensor };
  await golden.near(t, context, 'context', 2e-6);
  await golden.near(t, predicted, 'predictions', 2e-6);
  const { optimiser, emaDecay, losses } = golden.settings;
  await checkSteps(t, engine, golden, trained, losses, optimiser, { ...optimiser, emaDecay }, () => 'after.');
});

testOnEngines(test, firstOf(engines), "C-JEPA's weights are the paper's: 0.001 of 25, 25 and 1", async (t) => {
  const { method } = methodOf({ method: 'cjepa' });
  const weights = Object.fromEntries(method.terms.map(({ name, weight }) => [name, weight]));
  t.deepEqual(weights, { prediction: 1, regularizer: 0.025, invariance: 0.025 }); // covariance has 1 / 25 of the regularizer's
  method.dispose();
});

async function load() {
  const golden = await readGolden<Settings>('cjepa');
  const { imageSize, patchSize, encoder, predictor, context, targets } = golden.settings;
  const sizes = { imageSize, patchSize, ...encoder, predictorDim: predictor.dim, predictorDepth: predictor.depth };
  const { method } = methodOf({ method: 'cjepa', ...sizes, minKeep: 1, targetBlocks: 1 });
  const networks = Object.fromEntries(
    Object.entries(method.networks).map(([name, { shapes }]) => [name, golden.parameters(`weights.${name}.`, shapes)]),
  );
  const mask = (patches: number[][][]) => ({
    maskCount: patches.length,
    imageCount: 3,
    tokenCount: patches[0]?.[0]?.length ?? 0,
    patchCount: (imageSize / patchSize) ** 2,
    indices: Int32Array.from(patches.flat(2)),
  });
  const image = (await golden.tensor('images').data()) as Float32Array;
  const masks = { context: mask(context), target: mask(targets) };
  const batch = { views: { image }, groups: [{ imageCount: 3, masks }] };
  const nameOf = (network: string, parameter: string) => `${network}.${parameter}`;
  const trained: Trained = { method, networks, batch, imageSize, nameOf };
  return { golden, trained };
}
