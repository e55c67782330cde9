import test from 'ava';
import { type Tensor, tf } from '../../core/engine/tf.js';
import { drawBatch, viewSides } from '../../core/methods/batch.js';
import type { Part } from '../../core/methods/method.js';
import { applyMlpHead } from '../../core/nn/mlp-head.js';
import type { Parameters } from '../../core/nn/parameters.js';
import { lars } from '../../core/optim/momentum.js';
import { splitBatch } from '../../core/train/parts.js';
import { findEngines, testOnEngines, withoutCpu } from '../helpers/engines.js';
import { readGolden } from '../helpers/golden.js';
import { methodOf } from '../helpers/method.js';
import { checkGradients, checkSteps, type Trained } from '../helpers/trained.js';

/* Values of the paper's formulas in PyTorch (fixtures/byol). */
interface Settings {
  imageSize: number;
  patchSize: number;
  batch: number;
  encoder: { dim: number; depth: number; heads: number };
  projector: { width: number; outputs: number };
  optimiser: { learningRates: number[]; momentum: number; weightDecay: number };
  ema: number;
  emaDecays: number[];
  losses: number[];
}

const engines = withoutCpu(await findEngines());
/** Three steps, each of which is an epoch. */
const LENGTH = { stepsPerEpoch: 1, epochs: 3, scheduleStretch: 1 };

testOnEngines(test, engines, 'predictions, targets, loss and gradients of BYOL', async (t, engine) => {
  const { golden, trained } = await load();
  await checkGradients(t, engine, golden, trained, golden.settings.losses[0] as number, 'gradients.');
  const { method, networks, batch, imageSize } = trained;
  const context = { state: {}, rates: {} };
  const [part] = splitBatch(method.views, viewSides(method, imageSize), batch, context, 6, 1) as [Part];
  const through = (names: string[], features: Tensor | undefined) =>
    tf
      .split(features as Tensor, 2, 1)
      .map((view) => names.reduce((x, name) => applyMlpHead(networks[name] as Parameters, x), view));
  const predictions = through(['projector', 'predictor'], method.outputs(networks, part).features);
  const projections = through(['target_projector'], method.targets(networks, part).features);
  await golden.near(t, tf.stack(predictions), 'predictions', 1e-5);
  await golden.near(t, tf.stack(projections), 'projections', 1e-5);
});

testOnEngines(test, engines, 'three steps of BYOL with LARS, its target and its rate', async (t, engine) => {
  const { golden, trained } = await load();
  const { optimiser, emaDecays, losses } = golden.settings;
  const { learningRates, momentum, weightDecay } = optimiser;
  const emaDecay = (step: number) => trained.method.rates.emaDecay?.(step, LENGTH) as number;
  for (const [at, decay] of emaDecays.entries()) t.true(Math.abs(emaDecay(at + 1) - decay) < 1e-12);
  const ratesOf = (step: number) => ({
    learningRate: learningRates[step - 1] as number,
    weightDecay,
    emaDecay: emaDecay(step),
  });
  await checkSteps(
    t,
    engine,
    golden,
    trained,
    losses,
    lars(engine, { momentum, nesterov: false }),
    ratesOf,
    () => 'after.',
  );
});

test('the two views are changed as in the paper', (t) => {
  const { method, options } = methodOf({ method: 'byol', imageSize: 8, patchSize: 4, dim: 8, depth: 1, heads: 2 });
  t.like(options, { cropScale: [0.08, 1], flip: 0.5, jitter: 0.5 }); // jitter by 0.4, 0.4, 0.2 and 0.1
  t.deepEqual(
    method.views.map(({ count, crop }) => ({ count, ...crop })),
    [
      { count: 1, saturation: 0.5, blur: 1 },
      { count: 1, saturation: 0.5, blur: 0.1, solarize: 0.2 },
    ],
  );
});

async function load() {
  const golden = await readGolden<Settings>('byol');
  const { imageSize, patchSize, encoder, projector, ema, batch: images } = golden.settings;
  const { method } = methodOf({
    ...{ method: 'byol', imageSize, patchSize, ...encoder, ema },
    ...{ projectorWidth: projector.width, projectorDim: projector.outputs },
  });
  const networks = Object.fromEntries(
    Object.entries(method.networks).map(([name, { shapes }]) => [name, golden.parameters(`weights.${name}.`, shapes)]),
  );
  const pixels = async (name: string) => (await golden.tensor(`views.${name}`).data()) as Float32Array;
  const views = { first: await pixels('first'), second: await pixels('second') };
  const batch = { views, groups: drawBatch(method, 0, 1, images).groups };
  const withoutEffect = ['encoder.norm.bias']; // all features move with it, which batch norm takes away
  const nameOf = (network: string, parameter: string) => `${network}.${parameter}`;
  const trained: Trained = { method, networks, batch, imageSize, withoutEffect, nameOf };
  return { golden, trained };
}
