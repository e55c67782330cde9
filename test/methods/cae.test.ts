import test from 'ava';
import { UserError } from '../../core/base/errors.js';
import { RandomStream } from '../../core/base/random.js';
import { resolveOptions } from '../../core/config/resolve.js';
import type { Tensor } from '../../core/engine/tf.js';
import { cae } from '../../core/methods/cae/method.js';
import { blockwiseSettings, drawBlockwisePatches } from '../../core/methods/masks/blockwise.js';
import type { Part } from '../../core/methods/method.js';
import { METHODS } from '../../core/methods/registry.js';
import { createVit } from '../../core/nn/backbone.js';
import { findExtension } from '../../core/plugins/plugin.js';
import { splitBatch } from '../../core/train/parts.js';
import template from '../../plugins/_template/index.js';
import { findEngines, firstOf, testOnEngines, withoutCpu } from '../helpers/engines.js';
import { readGolden } from '../helpers/golden.js';
import { methodOf } from '../helpers/method.js';
import { checkGradients, checkSteps, type Trained } from '../helpers/trained.js';

/* Values of the official code's formulas (fixtures/cae). */
interface Settings {
  imageSize: number;
  patchSize: number;
  encoder: { dim: number; depth: number; heads: number };
  regressorDepth: number;
  decoderDepth: number;
  optimiser: { learningRate: number; beta1: number; beta2: number; epsilon: number; weightDecay: number };
  visible: number[][];
  masked: number[][];
  tokens: number[][];
  cases: Record<string, { ema: number; alignmentWeight: number; losses: number[] }>;
}

const engines = withoutCpu(await findEngines());
const TOKENIZER = findExtension('tokenizer', 'corner-colours', [template]);

for (const name of ['pixels', 'tokens'] as const) {
  const chosen = name === 'pixels' ? engines : firstOf(engines); // one case has nearly all that a step computes
  testOnEngines(test, chosen, `targets, outputs, loss and gradients of CAE, ${name}`, async (t, engine) => {
    const { golden, trained, losses } = await load(name);
    const { method, networks, batch, imageSize } = trained;
    const context = { state: {}, rates: {} };
    const [part] = splitBatch(method.views, { image: imageSize }, batch, context, 3, 1) as [Part];
    const { latent: aim, content } = method.targets(networks, part);
    await golden.near(t, aim as Tensor, `${name}.aim`, 2e-6);
    if (name === 'pixels') await golden.near(t, content as Tensor, 'pixels', 2e-6);
    else t.deepEqual(await (content as Tensor).argMax(2).array(), golden.settings.tokens);
    const { latent, decoded } = method.outputs(networks, part);
    await golden.near(t, latent as Tensor, `${name}.latent`, 2e-6);
    await golden.near(t, decoded as Tensor, `${name}.decoded`, 2e-6);
    await checkGradients(t, engine, golden, trained, losses[0] as number, `${name}.gradients.`);
  });

  testOnEngines(test, chosen, `three steps of CAE and its teacher, ${name}`, async (t, engine) => {
    const { golden, trained, losses, ema } = await load(name);
    const { optimiser } = golden.settings;
    const decay = trained.method.rates.emaDecay?.(2, { stepsPerEpoch: 1, epochs: 3, scheduleStretch: 1 });
    t.is(decay, ema);
    const rates = { ...optimiser, emaDecay: ema };
    await checkSteps(t, engine, golden, trained, losses, optimiser, rates, () => `${name}.after.`);
  });
}

test('as many patches of every image are masked, in blocks, and all others are visible', (t) => {
  for (const [imageSize, patchSize, maskRatio, count] of [
    [224, 16, 0.5, 98],
    [224, 16, 75 / 196, 75],
    [12, 4, 0.9, 8],
    [8, 4, 0.5, 2],
  ] as const) {
    const settings = blockwiseSettings({ imageSize, patchSize, maskRatio, minBlockPatches: null });
    const stream = new RandomStream(0, 'masks');
    for (let image = 0; image < 20; image++) {
      const { masked, visible } = drawBlockwisePatches(settings, stream);
      t.is(masked.length, count);
      t.deepEqual(
        [...masked, ...visible].sort((a, b) => a - b),
        [...Array((imageSize / patchSize) ** 2).keys()],
      );
      t.deepEqual(
        [masked, visible],
        [masked, visible].map((patches) => patches.toSorted((a, b) => a - b)),
      );
    }
  }
  // Half of the neighbours of a random patch would be masked; in blocks, most of those of a masked one are.
  const settings = blockwiseSettings({ imageSize: 224, patchSize: 16, maskRatio: 0.5, minBlockPatches: null });
  let [pairs, together] = [0, 0];
  for (let image = 0; image < 20; image++) {
    const { masked } = drawBlockwisePatches(settings, new RandomStream(image, 'masks'));
    const all = new Set(masked);
    for (const patch of masked.filter((patch) => patch % 14 !== 13)) {
      pairs++;
      if (all.has(patch + 1)) together++;
    }
  }
  t.true(together / pairs > 0.75, `${together} of ${pairs}`);
});

test('settings that leave no patch visible are refused', (t) => {
  const refused = (flags: object, message: RegExp, remedy: RegExp) => {
    const { definition, options } = methodOf({
      method: 'cae',
      imageSize: 16,
      patchSize: 4,
      dim: 8,
      depth: 1,
      heads: 2,
    });
    const error = t.throws(() => definition.automatic?.({ ...options, ...flags }), { instanceOf: UserError, message });
    t.regex(error?.advice.remedy ?? '', remedy);
  };
  refused({ maskRatio: 0.99 }, /16 of 16 would be masked/, /a smaller --mask-ratio/);
  refused({ patchSize: 16 }, /1 of 1 would be masked/, /a smaller --patch-size/);
});

test('linear weights start as the option says, all else as in BEiT', (t) => {
  const small = { method: 'cae', imageSize: 16, patchSize: 4, dim: 64, depth: 2, heads: 2, layerScale: 0.3 };
  for (const firstWeights of ['xavier', 'beit']) {
    const { method } = methodOf({ ...small, firstWeights });
    const largest = (network: string, name: string) => {
      const { shapes, init } = method.networks[network] as (typeof method.networks)[string];
      const values = init?.(name, shapes[name] as number[], new RandomStream(0, name)) as Float32Array;
      return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    };
    const near = (actual: number, expected: number) => t.true(actual <= expected && actual > 0.98 * expected);
    const isXavier = firstWeights === 'xavier';
    near(largest('encoder', 'blocks.0.attn.qkv.weight'), isXavier ? Math.sqrt(6 / 256) : 0.02);
    near(largest('regressor', 'blocks.1.attn.proj.weight'), isXavier ? Math.sqrt(6 / 128) : 0.02 / Math.sqrt(4));
    near(largest('decoder', 'head.weight'), isXavier ? Math.sqrt(6 / 112) : 0.02);
    near(largest('encoder', 'patch_embed.proj.weight'), 0.02);
    near(largest('encoder', 'blocks.1.gamma_2'), Math.fround(0.3));
    t.is(largest('encoder', 'patch_embed.proj.bias'), 0);
  }
});

async function load(name: 'pixels' | 'tokens') {
  const golden = await readGolden<Settings>('cae');
  const { imageSize, patchSize, encoder, regressorDepth, decoderDepth, visible, masked, cases } = golden.settings;
  const { ema, alignmentWeight, losses } = cases[name] as Settings['cases'][string];
  const flags = {
    ...{ method: 'cae', imageSize, patchSize, ...encoder, regressorDepth, decoderDepth },
    ...{ alignmentWeight, ema, finalEma: ema },
  };
  const { options } = resolveOptions({ methods: METHODS, flags });
  const size = { ...encoder, mlpRatio: 4, classToken: true, layerScale: true };
  const backbone = createVit({ imageSize, patchSize, encoder: size });
  const extensions = { tokenizer: name === 'tokens' ? TOKENIZER : null };
  const method = cae(options as Parameters<typeof cae>[0], { encoder: backbone, backbone, extensions });
  const networks = Object.fromEntries(
    Object.entries(method.networks).map(([network, { shapes }]) => [
      network,
      golden.parameters(network === 'teacher' ? 'teacher.' : `${name}.weights.${network}.`, shapes),
    ]),
  );
  const indices = (rows: readonly number[][]) => ({
    maskCount: 1,
    imageCount: rows.length,
    tokenCount: rows[0]?.length ?? 0,
    patchCount: (imageSize / patchSize) ** 2,
    indices: Int32Array.from(rows.flat()),
  });
  const group = { imageCount: 3, masks: { visible: indices(visible), masked: indices(masked) } };
  const batch = { views: { image: (await golden.tensor('images').data()) as Float32Array }, groups: [group] };
  const nameOf = (network: string, parameter: string) => `${network}.${parameter}`;
  const trained: Trained = { method, networks, batch, imageSize, nameOf };
  return { golden, trained, losses, ema };
}
