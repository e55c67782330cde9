import test from 'ava';
import { RandomStream } from '../../core/base/random.js';
import { resolveOptions } from '../../core/config/resolve.js';
import type { Tensor } from '../../core/engine/tf.js';
import { viewSides } from '../../core/methods/batch.js';
import type { Method, Part } from '../../core/methods/method.js';
import { msn } from '../../core/methods/msn/method.js';
import { METHODS } from '../../core/methods/registry.js';
import { createVit } from '../../core/nn/backbone.js';
import { tokenIndices } from '../../core/nn/tokens.js';
import { splitBatch } from '../../core/train/parts.js';
import { initialNetworks } from '../../core/train/state.js';
import { findEngines, firstOf, testOnEngines, withoutCpu } from '../helpers/engines.js';
import { readGolden } from '../helpers/golden.js';
import { methodOf } from '../helpers/method.js';
import { checkGradients, checkSteps, type Trained } from '../helpers/trained.js';
import { noiseBatch, numberOf, numbersOf, prepareBatchGradients } from '../helpers/training.js';

/* Values of the official code's formulas (fixtures/msn). */
interface Settings {
  imageSize: number;
  localImageSize: number;
  patchSize: number;
  encoder: { dim: number; depth: number; heads: number };
  head: { hidden: number; outputs: number };
  prototypes: number;
  masks: number[][];
  anchorTemperature: number;
  targetTemperature: number;
  scheduleStretch: number;
  emaDecays: number[];
  finalEma: number;
  optimiser: { learningRate: number; beta1: number; beta2: number; epsilon: number; weightDecay: number };
  cases: Record<string, Case>;
}
type Case = Record<'localCrops' | 'meMaxWeight', number> & {
  sinkhorn: boolean;
  losses: number[];
  terms: Record<'crossEntropy' | 'meMax', number>;
};

const engines = withoutCpu(await findEngines());
const isTarget = (network: string) => network.startsWith('target_');
/** Where a golden file has a parameter: that of a target network by the name of the network that it follows. */
const nameOf = (network: string, parameter: string) => {
  const followed = network.replace(/^target_/, '');
  return followed === 'prototypes' ? `prototypes.${parameter}` : `${followed}.${parameter}`;
};

for (const name of ['sinkhorn', 'plain']) {
  const asked = name === 'sinkhorn' ? engines : firstOf(engines);
  testOnEngines(test, asked, `class tokens, loss and gradients of MSN, ${name}`, async (t, engine) => {
    const { golden, trained, losses } = await load(name);
    await checkGradients(t, engine, golden, trained, losses[0] as number, `${name}.gradients.`);
    const { method, networks, batch, imageSize } = trained;
    const sides = viewSides(method, imageSize);
    const [part] = splitBatch(method.views, sides, batch, { state: {}, rates: {} }, 5, 1) as [Part];
    await golden.near(t, method.outputs(networks, part).anchors as Tensor, `${name}.anchors`, 2e-6);
    await golden.near(t, method.targets(networks, part).target as Tensor, `${name}.target`, 2e-6);
  });

  testOnEngines(test, firstOf(engines), `both terms of MSN, ${name}`, async (t, engine) => {
    const { trained, terms } = await load(name);
    const { method, networks, batch, imageSize } = trained;
    const computed = await prepareBatchGradients(engine, { method, options: { imageSize } })(networks, batch);
    for (const [term, expected] of Object.entries(terms)) {
      const value = await numberOf(computed.terms[term] as Tensor);
      t.true(Math.abs(value - expected) < 5e-6 * expected, `${term} ${value}, expected ${expected}`);
    }
  });
}

testOnEngines(test, engines, 'three steps of MSN, its targets and its rates', async (t, engine) => {
  const { golden, trained, losses } = await load('sinkhorn');
  const { optimiser, emaDecays, scheduleStretch } = golden.settings;
  const length = { stepsPerEpoch: 1, epochs: 3, scheduleStretch };
  const ratesOf = (step: number) => {
    const own = Object.entries(trained.method.rates).map(([rate, of]) => [rate, of(step, length)]);
    return { ...optimiser, ...(Object.fromEntries(own) as Record<string, number>) };
  };
  for (const [at, decay] of emaDecays.entries()) {
    const { emaDecay } = ratesOf(at + 1) as Record<string, number>;
    t.true(Math.abs((emaDecay as number) - decay) < 1e-12);
  }
  const prefixOf = (network: string) => {
    const isAverage = isTarget(network) && network !== 'target_prototypes';
    return `sinkhorn.after.${isAverage ? 'target' : 'anchor'}.`;
  };
  const { networks } = await checkSteps(t, engine, golden, trained, losses, optimiser, ratesOf, prefixOf);
  const weightOf = (network: string) => networks[network]?.weight as Tensor;
  t.deepEqual(await weightOf('target_prototypes').data(), await weightOf('prototypes').data());
});

const SMALL = { method: 'msn', imageSize: 16, patchSize: 4, dim: 16, depth: 1, heads: 2, localCrops: 3 };
const HEAD = { headDim: 16, projectionDim: 8, prototypes: 24 };

testOnEngines(test, firstOf(engines), 'targets of a low temperature are spread, too', async (t, engine) => {
  const made = methodOf({ ...SMALL, ...HEAD, targetTemperature: 1e-3 }); // weights down to exp(-2000)
  const { loss, gradients } = await prepareBatchGradients(engine, made)(
    initialNetworks(made.method, 0),
    noiseBatch(made, 4),
  );
  t.true(Number.isFinite(await numberOf(loss)));
  t.true((await numbersOf(gradients)).every(Number.isFinite));
});

test('crops, masks and their automatic sizes are those of the paper', (t) => {
  const viewsOf = ({ views }: Method) => views.map(({ name, count, crop }) => [name, count, crop]);
  const small = { cropScale: [0.05, 0.3] };
  const { method, options, definition } = methodOf({ ...SMALL, ...HEAD, imageSize: 224, patchSize: 16 });
  t.deepEqual(definition.automatic?.(options), { localImageSize: 96 });
  t.deepEqual(viewsOf(method), [
    ['target', 1, undefined],
    ['anchor', 1, undefined],
    ['local', 3, { imageSize: 96, ...small }],
  ]);
  for (const [preset, kept, side] of [
    ['paper-msn-vits16', 166, 96],
    ['paper-msn-vitb16', 137, 96],
    ['paper-msn-vitb4', 940, 96],
    ['paper-msn-vitl16', 98, 96],
    ['paper-msn-vitl7', 307, 91],
  ] as const) {
    const paper = methodOf({ method: 'msn', ...definition.presets[preset]?.options });
    const drawn = paper.method.draw?.(new RandomStream(0, 'masks'), 2).groups[0]?.masks.visible;
    t.is(drawn?.tokenCount, kept);
    t.notDeepEqual(drawn?.indices.slice(0, kept), drawn?.indices.slice(kept));
    t.is(paper.method.views[2]?.crop?.imageSize, side);
    t.is(paper.method.views[2]?.count, 10);
  }
  t.throws(() => methodOf({ ...SMALL, localImageSize: 10 }), { name: 'UserError', message: /patches of 4 pixels/ });
});

async function load(name: string) {
  const golden = await readGolden<Settings>('msn');
  const { imageSize, localImageSize, patchSize, encoder, head, prototypes, masks, cases, ...own } = golden.settings;
  const { losses, terms, ...ofCase } = cases[name] as Case;
  const { anchorTemperature, targetTemperature, finalEma } = own;
  const flags = {
    ...{ method: 'msn', imageSize, patchSize, ...encoder, localImageSize, maskRatio: 0.3, ...ofCase },
    ...{ headDim: head.hidden, projectionDim: head.outputs, prototypes, anchorTemperature, targetTemperature },
    ...{ ema: own.emaDecays[0], finalEma },
  };
  const { options } = resolveOptions({ methods: METHODS, flags });
  const backbone = createVit({
    imageSize,
    patchSize,
    encoder: { ...encoder, mlpRatio: 4, classToken: true, classFeatures: true },
  });
  const method = msn(backbone, options as Parameters<typeof msn>[1]) as unknown as Method;
  const networks = Object.fromEntries(
    Object.entries(method.networks).map(([network, { shapes }]) => {
      const role = isTarget(network) ? 'target.' : 'anchor.';
      const prefix = network.endsWith('prototypes') ? '' : role;
      return [network, golden.parameters(prefix + nameOf(network, ''), shapes)];
    }),
  );
  const views = Object.fromEntries(
    await Promise.all(
      method.views.map(async ({ name }) => [name, (await golden.tensor(name).data()) as Float32Array] as const),
    ),
  );
  const visible = tokenIndices([masks], (imageSize / patchSize) ** 2);
  const batch = { views, groups: [{ imageCount: masks.length, masks: { visible } }] };
  // Batch norm takes away what all class tokens have in common.
  const trained: Trained = { method, networks, imageSize, batch, nameOf, withoutEffect: ['encoder.norm.bias'] };
  return { golden, trained, losses, terms };
}
