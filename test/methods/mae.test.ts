import test from 'ava';
import type { Tensor } from '../../core/engine/tf.js';
import { drawBatch } from '../../core/methods/batch.js';
import type { Part } from '../../core/methods/method.js';
import { splitBatch } from '../../core/train/parts.js';
import { findEngines, firstOf, testOnEngines, withoutCpu } from '../helpers/engines.js';
import { type Golden, readGolden } from '../helpers/golden.js';
import { methodOf } from '../helpers/method.js';
import { checkGradients, checkSteps, type Trained } from '../helpers/trained.js';

/* Values of Hugging Face's ViTMAEForPreTraining (fixtures/mae). */
interface Settings {
  imageSize: number;
  patchSize: number;
  encoder: { dim: number; depth: number; heads: number };
  decoder: { dim: number; depth: number; heads: number };
  optimiser: { learningRate: number; beta1: number; beta2: number; epsilon: number; weightDecay: number };
  kept: number[][];
  masked: number[][];
  cases: Record<string, { losses: number[] }>;
}
type PixelTargets = 'normalised' | 'raw';

const engines = withoutCpu(await findEngines());

for (const pixelTargets of ['normalised', 'raw'] as const) {
  const chosen = pixelTargets === 'normalised' ? engines : firstOf(engines);
  testOnEngines(test, chosen, `loss and gradients of MAE, pixels ${pixelTargets}`, async (t, engine) => {
    const { golden, trained, losses } = await load(pixelTargets);
    await checkGradients(t, engine, golden, trained, losses[0] as number, `${pixelTargets}.gradients.`);
  });

  testOnEngines(
    test,
    chosen,
    `targets, predictions and three steps of MAE, pixels ${pixelTargets}`,
    async (t, engine) => {
      const { golden, trained, losses } = await load(pixelTargets);
      const { method, networks, batch, imageSize } = trained;
      const [part] = splitBatch(method.views, { image: imageSize }, batch, { state: {}, rates: {} }, 3, 1) as [Part];
      const pixels = method.targets(networks, part).pixels as Tensor;
      await golden.near(t, pixels, `${pixelTargets}.targets`, 2e-6);
      await golden.near(t, method.outputs(networks, part).predicted as Tensor, 'predictions', 2e-6);
      const { optimiser } = golden.settings;
      await checkSteps(
        t,
        engine,
        golden,
        trained,
        losses.slice(0, 3),
        optimiser,
        optimiser,
        () => `${pixelTargets}.after.`,
      );
    },
  );
}

test('MAE shows as many patches of every image as the official code, and hides all others', (t) => {
  const { method } = methodOf({
    method: 'mae',
    imageSize: 40,
    patchSize: 4,
    dim: 16,
    depth: 1,
    heads: 2,
    maskRatio: 0.9,
  });
  const { groups } = drawBatch(method, 0, 1, 5);
  t.is(groups[0]?.masks.visible?.tokenCount, 9); // 100 (1 - 0.9) is less than 10 in floating point
  for (const { masks } of groups) {
    for (let image = 0; image < 5; image++) {
      const of = (name: string) => {
        const { tokenCount, indices } = masks[name] as (typeof masks)[string];
        return [...indices.subarray(image * tokenCount, (image + 1) * tokenCount)];
      };
      const all = [...of('visible'), ...of('masked')].sort((a, b) => a - b);
      t.deepEqual(all, [...Array(100).keys()]);
    }
  }
});

async function load(pixelTargets: PixelTargets) {
  const golden: Golden<Settings> = await readGolden<Settings>('mae');
  const { imageSize, patchSize, encoder, decoder, kept, masked, cases } = golden.settings;
  const { method } = methodOf({
    method: 'mae',
    imageSize,
    patchSize,
    dim: encoder.dim,
    depth: encoder.depth,
    heads: encoder.heads,
    decoderDim: decoder.dim,
    decoderDepth: decoder.depth,
    decoderHeads: decoder.heads,
    pixelTargets,
  });
  const nameOf = (network: string, name: string) =>
    network === 'decoder' ? name.replace('predictor_proj', 'decoder_pred').replace('predictor_', 'decoder_') : name;
  const networks = Object.fromEntries(
    Object.entries(method.networks).map(([network, { shapes }]) => [
      network,
      Object.fromEntries(Object.keys(shapes).map((name) => [name, golden.tensor(`weights.${nameOf(network, name)}`)])),
    ]),
  );
  const indices = (rows: readonly number[][]) => ({
    maskCount: 1,
    imageCount: rows.length,
    tokenCount: rows[0]?.length ?? 0,
    patchCount: (imageSize / patchSize) ** 2,
    indices: Int32Array.from(rows.flat()),
  });
  const pixels = (await golden.tensor('images').data()) as Float32Array;
  const group = { imageCount: kept.length, masks: { visible: indices(kept), masked: indices(masked) } };
  const batch = { views: { image: pixels }, groups: [group] };
  const trained: Trained = { method, networks, batch, imageSize, nameOf };
  return { golden, trained, losses: cases[pixelTargets]?.losses ?? [] };
}
