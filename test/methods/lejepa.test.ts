import test from 'ava';
import { resolveOptions } from '../../core/config/resolve.js';
import type { Tensor } from '../../core/engine/tf.js';
import { drawBatch, viewSides } from '../../core/methods/batch.js';
import { createMethod } from '../../core/methods/create.js';
import type { MethodContext, Part } from '../../core/methods/method.js';
import { METHODS } from '../../core/methods/registry.js';
import { applyMlpHead } from '../../core/nn/mlp-head.js';
import { splitBatch } from '../../core/train/parts.js';
import { sigreg } from '../../plugins/objectives/sigreg.js';
import { findEngines, firstOf, testOnEngines, withoutCpu } from '../helpers/engines.js';
import { readGolden } from '../helpers/golden.js';
import { methodOf } from '../helpers/method.js';
import { checkGradients, checkSteps, type Trained } from '../helpers/trained.js';

/* Values of the paper's algorithms in PyTorch (fixtures/lejepa). */
interface Settings {
  imageSize: number;
  localSize: number;
  patchSize: number;
  batch: number;
  globalViews: number;
  localViews: number;
  encoder: { dim: number; depth: number; heads: number };
  projector: { width: number; dim: number };
  lambda: number;
  optimiser: { learningRate: number; beta1: number; beta2: number; epsilon: number; weightDecay: number };
  losses: number[];
}

const engines = withoutCpu(await findEngines());

testOnEngines(test, engines, 'loss and gradients of LeJEPA', async (t, engine) => {
  const { golden, trained } = await load();
  await checkGradients(t, engine, golden, trained, golden.settings.losses[0] as number, 'gradients.');
});

testOnEngines(test, engines, 'embeddings and three steps of LeJEPA', async (t, engine) => {
  const { golden, trained } = await load();
  const { method, networks, batch, imageSize } = trained;
  const context = { state: {}, rates: {} };
  const [part] = splitBatch(method.views, viewSides(method, imageSize), batch, context, 3, 1) as [Part];
  const features = method.outputs(networks, part).features as Tensor; // [n, V, D]
  const embedded = applyMlpHead(networks.projector ?? {}, features.reshape([-1, features.shape[2] as number]));
  const { batch: images, projector } = golden.settings;
  await golden.near(t, embedded.reshape([images, -1, projector.dim]), 'embedded', 1e-5);
  const { optimiser, losses } = golden.settings;
  await checkSteps(t, engine, golden, trained, losses, optimiser, optimiser, () => 'after.');
});

const SMALL = { method: 'lejepa', dim: 8, depth: 1, heads: 2, projectorWidth: 8, projectorDim: 4 };

testOnEngines(test, firstOf(engines), 'crops have the sizes and changes of the official README', async (t) => {
  const viewsOf = (flags: Record<string, unknown>) => {
    const { method, options } = methodOf({ ...SMALL, ...flags });
    const views = method.views.map(({ name, count, crop }) => [name, count, crop?.imageSize ?? options.imageSize]);
    method.dispose();
    return { views, method, options };
  };
  const { views, method, options } = viewsOf({ imageSize: 224, patchSize: 14 });
  t.deepEqual(views, [
    ['global', 2, 224],
    ['local', 6, 98],
  ]);
  for (const { crop } of method.views) t.like(crop, { saturation: 0.5, solarize: 0.2 });
  t.deepEqual(
    [options.cropScale, method.views[1]?.crop?.cropScale],
    [
      [0.3, 1],
      [0.05, 0.3],
    ],
  );
  t.like(options, { flip: 0.5, jitter: 0.5, blur: 0.5 }); // jitter by 0.4, 0.4, 0.2 and 0.1
  t.deepEqual(viewsOf({ imageSize: 64, patchSize: 8 }).views[1], ['local', 6, 32]);
  t.deepEqual(viewsOf({ imageSize: 64, patchSize: 8, localViews: 0 }).views, [['global', 2, 64]]);
  t.throws(() => viewsOf({ imageSize: 64, patchSize: 8, localSize: 20 }), { name: 'UserError', message: /20 pixels/ });
});

async function load() {
  const golden = await readGolden<Settings>('lejepa');
  const { imageSize, localSize, patchSize, globalViews, localViews, encoder, projector, lambda } = golden.settings;
  const flags = {
    ...{ method: 'lejepa', imageSize, localSize, patchSize, globalViews, localViews, ...encoder, lambda },
    ...{ projectorWidth: projector.width, projectorDim: projector.dim },
  };
  const { method: definition, options } = resolveOptions({ methods: METHODS, flags });
  const directions = golden.tensor('directions');
  const values = (await directions.data()) as Float32Array;
  const draw = () => ({ directions: { shape: directions.shape, values } });
  const extensions: MethodContext['extensions'] = {
    sigreg: { kind: 'regularizer', plugin: 'test', item: { ...sigreg, draw } },
  };
  const { method } = createMethod(definition, options, extensions);
  const networks = Object.fromEntries(
    Object.entries(method.networks).map(([name, { shapes }]) => [name, golden.parameters(`weights.${name}.`, shapes)]),
  );
  const pixels = async (name: string) => (await golden.tensor(`views.${name}`).data()) as Float32Array;
  const views = { global: await pixels('global'), local: await pixels('local') };
  const batch = { views, groups: drawBatch(method, 0, 1, golden.settings.batch).groups };
  const withoutEffect = ['encoder.norm.bias']; // all features move with it, which batch norm takes away
  const nameOf = (network: string, parameter: string) => `${network}.${parameter}`;
  const trained: Trained = { method, networks, batch, imageSize, withoutEffect, nameOf };
  return { golden, trained };
}
