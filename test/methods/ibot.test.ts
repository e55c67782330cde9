import test from 'ava';
import { RandomStream } from '../../core/base/random.js';
import { resolveOptions } from '../../core/config/resolve.js';
import { type Tensor, tf } from '../../core/engine/tf.js';
import { viewSides } from '../../core/methods/batch.js';
import { ibot } from '../../core/methods/ibot/method.js';
import { drawMask, type Own } from '../../core/methods/ibot/options.js';
import type { Part } from '../../core/methods/method.js';
import { METHODS } from '../../core/methods/registry.js';
import { createVit } from '../../core/nn/backbone.js';
import { splitBatch } from '../../core/train/parts.js';
import { initialNetworks } from '../../core/train/state.js';
import { findEngines, firstOf, relativeDifference, testOnEngines, withoutCpu } from '../helpers/engines.js';
import { readGolden } from '../helpers/golden.js';
import { methodOf } from '../helpers/method.js';
import { nameOf, networksOf, ratesOf, roleOf, viewsOf } from '../helpers/self-distillation.js';
import { checkGradients, checkSteps, type Trained } from '../helpers/trained.js';
import { contextOf, noiseBatch, numbersOf, prepareBatchGradients } from '../helpers/training.js';

/* Values of the official code's formulas (fixtures/ibot). */
interface Settings {
  imageSize: number;
  localImageSize: number;
  patchSize: number;
  encoder: { dim: number; depth: number; heads: number };
  head: { hidden: number; bottleneck: number; outputs: number };
  studentTemperature: number;
  centreMomentum: number;
  frozenEpochs: number;
  teacherTemperatures: [number, number];
  patchTemperatures: [number, number];
  warmupEpochs: number;
  weights: { class: number; patch: number };
  /** Masked patches of each image in its first and in its second large crop. */
  masked: [first: number[][], second: number[][]];
  emaDecays: number[];
  optimiser: {
    [name in 'learningRate' | 'beta1' | 'beta2' | 'epsilon' | 'weightDecay' | 'clipGradient']: number;
  };
  cases: Record<
    string,
    {
      localCrops: number;
      lastLayerLengths: string;
      maskStartEpoch: number;
      losses: number[];
      temperatures: [number, number][];
    }
  >;
}

const engines = withoutCpu(await findEngines());
/** One case has all that a step computes. */
const enginesOf = (name: string) => (name === 'crops' ? engines : firstOf(engines));

for (const name of ['crops', 'late']) {
  testOnEngines(test, enginesOf(name), `targets, loss and gradients of iBOT, ${name}`, async (t, engine) => {
    const { golden, trained, losses } = await load(name);
    await checkGradients(t, engine, golden, trained, losses[0] as number, `${name}.gradients.`);
    const { method, networks, batch, imageSize, context = { state: {}, rates: {} } } = trained;
    const [part] = splitBatch(method.views, viewSides(method, imageSize), batch, context, 3, 1) as [Part];
    const { patches, rawPatches } = method.targets(networks, part) as Record<string, Tensor>;
    const ofTeacher = golden.tensor(`${name}.teacher_patches`); // [2B, N, K]
    const mean = await tf
      .addN(tf.split(ofTeacher.mean(1), 2))
      .div(2)
      .data();
    t.true(relativeDifference(await (rawPatches as Tensor).data(), mean) < 2e-6);
    const centred = ofTeacher.sub(golden.tensor('patchCentre')).div(golden.settings.patchTemperatures[0]);
    t.true(relativeDifference(await (patches as Tensor).data(), await tf.softmax(centred).data()) < 1e-5);
    const ofStudent = golden.tensor(`${name}.student_patches`).div(golden.settings.studentTemperature);
    const { patches: logs } = method.outputs(networks, part) as Record<string, Tensor>;
    t.true(relativeDifference(await (logs as Tensor).data(), await tf.logSoftmax(ofStudent).data()) < 2e-6);
  });

  testOnEngines(
    test,
    enginesOf(name),
    `three steps of iBOT with clipped gradients, its teacher, its centres and its rates, ${name}`,
    async (t, engine) => {
      const { golden, trained, losses } = await load(name);
      const { optimiser, emaDecays, frozenEpochs, cases } = golden.settings;
      const { temperatures, maskStartEpoch } = cases[name] as Settings['cases'][string];
      for (const [at, [teacherTemperature, patchTemperature]] of temperatures.entries()) {
        const rates = ratesOf(trained.method, at + 1);
        const expected = { teacherTemperature, patchTemperature, emaDecay: emaDecays[at] as number };
        for (const [rate, value] of Object.entries(expected))
          t.true(Math.abs((rates[rate] as number) - value) < 1e-12, rate);
        t.is(rates.lastLayerSteps, Math.max(0, at + 1 - frozenEpochs));
        t.is(rates.masking, at < maskStartEpoch ? 0 : 1);
      }
      const rates = (step: number) => ({ ...optimiser, ...ratesOf(trained.method, step) });
      const prefixOf = (network: string) => `${name}.after.${roleOf(network)}.`;
      const state = await checkSteps(t, engine, golden, trained, losses, optimiser, rates, prefixOf);
      await golden.near(t, state.own.centre as Tensor, `${name}.after.centre`, 2e-6);
      await golden.near(t, state.own.patchCentre as Tensor, `${name}.after.patchCentre`, 2e-6);
    },
  );
}

const SMALL = { method: 'ibot', imageSize: 16, patchSize: 4, dim: 8, depth: 2, heads: 2, localCrops: 2, dropPath: 0.5 };
const HEAD = { headDim: 8, bottleneckDim: 8, outputDim: 12 };

testOnEngines(test, firstOf(engines), 'a batch of iBOT in uneven parts is the whole batch', async (t, engine) => {
  const made = methodOf({ ...SMALL, ...HEAD });
  const networks = initialNetworks(made.method, 0);
  t.deepEqual(Object.keys(networks), Object.keys(made.method.networks), 'in the order that checkpoints keep');
  const context = contextOf(made.method);
  const of = async (together?: number) => {
    const compute = prepareBatchGradients(engine, made, together);
    const { gradients, statistics, loss, rows } = await compute(networks, noiseBatch(made, 5), 1, context);
    return [await numbersOf({ ...gradients, loss: { loss } }), await numbersOf({ statistics, rows })] as const;
  };
  const [whole, parts] = [await of(), await of(3)]; // 3 + 2
  t.true(relativeDifference(parts[0], whole[0]) < 1e-5);
  t.true(relativeDifference(parts[1], whole[1]) < 1e-5);
});

test('half of the crops have no masked patches, the others a fraction in the range, in blocks or one by one', (t) => {
  const masksOf = (flags: object) => {
    const { options } = resolveOptions({ methods: METHODS, flags: { method: 'ibot', ...flags } });
    const stream = new RandomStream(0, 'masks');
    return Array.from({ length: 400 }, () => drawMask(options as Own, stream));
  };
  const count = (mask: Float32Array) => mask.reduce((sum, value) => sum + value, 0);
  for (const maskShape of ['blocks', 'random']) {
    const counts = masksOf({ maskShape }).map(count); // of 196
    const masked = counts.filter((patches) => patches > 0);
    t.true(masked.length > 160 && masked.length < 240, `${maskShape}: ${masked.length}`);
    t.true(Math.max(...masked) <= 98);
    const mean = masked.reduce((sum, patches) => sum + patches, 0) / masked.length / 196;
    t.true(mean > 0.2 && mean < 0.33, `${maskShape}: ${mean}`);
    if (maskShape === 'random') t.true(Math.min(...masked) >= 19);
  }
  // In blocks, more neighbours of masked patches are masked.
  const neighbours = (mask: Float32Array) =>
    mask.reduce((sum, value, at) => sum + (at % 14 > 0 ? value * (mask[at - 1] as number) : 0), 0) / (count(mask) || 1);
  const mean = (maskShape: string) =>
    masksOf({ maskShape, maskedCrops: 1 }).reduce((sum, mask) => sum + neighbours(mask) / 400, 0);
  t.true(mean('blocks') > 1.5 * mean('random'));
  t.true(masksOf({ maskedCrops: 0 }).every((mask) => count(mask) === 0));
});

async function load(name: string) {
  const golden = await readGolden<Settings>('ibot');
  const { imageSize, localImageSize, patchSize, encoder, head, cases, masked, weights, ...own } = golden.settings;
  const { losses, localCrops, lastLayerLengths, maskStartEpoch } = cases[name] as Settings['cases'][string];
  const [startTeacherTemperature, teacherTemperature] = own.teacherTemperatures;
  const [startPatchTemperature, patchTemperature] = own.patchTemperatures;
  const flags = {
    ...{
      method: 'ibot',
      imageSize,
      patchSize,
      ...encoder,
      localCrops,
      localImageSize,
      lastLayerLengths,
      maskStartEpoch,
    },
    ...{ headDim: head.hidden, bottleneckDim: head.bottleneck, outputDim: head.outputs, ema: own.emaDecays[0] },
    ...{ startTeacherTemperature, teacherTemperature, startPatchTemperature, patchTemperature },
    ...{ teacherWarmupEpochs: own.warmupEpochs, centreMomentum: own.centreMomentum },
    ...{ studentTemperature: own.studentTemperature, lastLayerFrozenEpochs: own.frozenEpochs },
    ...{ classWeight: weights.class, patchWeight: weights.patch },
  };
  const { options } = resolveOptions({ methods: METHODS, flags });
  const backbone = createVit({
    imageSize,
    patchSize,
    encoder: { ...encoder, mlpRatio: 4, classToken: true, classFeatures: true },
  });
  const method = ibot(backbone, options as Own);
  const valuesOf = (patches: number[][]) => {
    const values = new Float32Array(patches.length * backbone.patchCount);
    for (const [image, own] of patches.entries())
      for (const patch of own) values[image * backbone.patchCount + patch] = 1;
    return { shape: [patches.length, backbone.patchCount, 1], values };
  };
  const drops = golden.tensor('branches'); // [B, C, 2L]
  const branches = { shape: drops.shape, values: (await drops.data()) as Float32Array };
  const values = { first: valuesOf(masked[0]), second: valuesOf(masked[1]), ...(name === 'crops' && { branches }) };
  const trained: Trained = {
    ...{ method, networks: networksOf(golden, method, name), imageSize, nameOf },
    batch: { views: await viewsOf(golden, method), groups: [{ imageCount: 3, masks: {}, values }] },
    context: {
      state: { centre: golden.tensor('centre'), patchCentre: golden.tensor('patchCentre') },
      rates: {
        teacherTemperature: tf.scalar(startTeacherTemperature),
        patchTemperature: tf.scalar(startPatchTemperature),
        masking: tf.scalar(maskStartEpoch > 0 ? 0 : 1),
      },
    },
  };
  return { golden, trained, losses };
}
