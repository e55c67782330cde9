import test from 'ava';
import { resolveOptions } from '../../core/config/resolve.js';
import { type Tensor, tf } from '../../core/engine/tf.js';
import { viewSides } from '../../core/methods/batch.js';
import { dino } from '../../core/methods/dino/method.js';
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

/* Values of the official code's formulas (fixtures/dino). */
interface Settings {
  imageSize: number;
  localImageSize: number;
  patchSize: number;
  encoder: { dim: number; depth: number; heads: number };
  head: { hidden: number; bottleneck: number; outputs: number };
  studentTemperature: number;
  centreMomentum: number;
  frozenEpochs: number;
  teacherTemperatures: number[];
  emaDecays: number[];
  optimiser: { learningRate: number; beta1: number; beta2: number; epsilon: number; weightDecay: number };
  cases: Record<string, { localCrops: number; lastLayerLengths: string; losses: number[] }>;
}

const engines = withoutCpu(await findEngines());
/** One case has all that a step computes. */
const enginesOf = (name: string) => (name === 'learned' ? engines : firstOf(engines));

for (const name of ['fixed', 'learned', 'large']) {
  testOnEngines(test, enginesOf(name), `targets, loss and gradients of DINO, ${name}`, async (t, engine) => {
    const { golden, trained, losses } = await load(name);
    await checkGradients(t, engine, golden, trained, losses[0] as number, `${name}.gradients.`);
    const { method, networks, batch, imageSize, context = { state: {}, rates: {} } } = trained;
    const [part] = splitBatch(method.views, viewSides(method, imageSize), batch, context, 3, 1) as [Part];
    const { raw } = method.targets(networks, part);
    const ofTeacher = golden.tensor(`${name}.teacher_output`); // [2B, K]
    const mean = await tf.addN(tf.split(ofTeacher, 2)).div(2).data();
    t.true(relativeDifference(await (raw as Tensor).data(), mean) < 2e-6);
    const { first, second } = method.outputs(networks, part) as { first: Tensor; second: Tensor };
    const ofStudent = tf.slice(golden.tensor(`${name}.student_output`), 0, 6).div(golden.settings.studentTemperature);
    const expected = await tf.logSoftmax(ofStudent as Tensor).data();
    t.true(relativeDifference(await tf.concat([first, second]).data(), expected) < 2e-6);
  });

  testOnEngines(
    test,
    enginesOf(name),
    `three steps of DINO, its teacher, its centre and its rates, ${name}`,
    async (t, engine) => {
      const { golden, trained, losses } = await load(name);
      const { optimiser, emaDecays, teacherTemperatures, frozenEpochs } = golden.settings;
      for (const [at, decay] of emaDecays.entries()) {
        const { emaDecay, teacherTemperature, lastLayerSteps } = ratesOf(trained.method, at + 1);
        t.true(Math.abs((emaDecay as number) - decay) < 1e-12);
        t.true(Math.abs((teacherTemperature as number) - (teacherTemperatures[at] as number)) < 1e-12);
        t.is(lastLayerSteps, Math.max(0, at + 1 - frozenEpochs));
      }
      const rates = (step: number) => ({ ...optimiser, ...ratesOf(trained.method, step) });
      const prefixOf = (network: string) => `${name}.after.${roleOf(network)}.`;
      const state = await checkSteps(t, engine, golden, trained, losses, optimiser, rates, prefixOf);
      await golden.near(t, state.own.centre as Tensor, `${name}.after.centre`, 2e-6);
    },
  );
}

const SMALL = { method: 'dino', imageSize: 16, patchSize: 4, dim: 16, depth: 1, heads: 2, localCrops: 3 };
const HEAD = { headDim: 16, bottleneckDim: 8, outputDim: 24 };

testOnEngines(test, firstOf(engines), 'a batch of DINO in uneven parts is the whole batch', async (t, engine) => {
  const made = methodOf({ ...SMALL, ...HEAD, localImageSize: 16 });
  const networks = initialNetworks(made.method, 0);
  const context = contextOf(made.method);
  const of = async (together?: number) => {
    const compute = prepareBatchGradients(engine, made, together);
    const { gradients, statistics, loss, rows } = await compute(networks, noiseBatch(made, 7), 1, context);
    return [await numbersOf({ ...gradients, loss: { loss } }), await numbersOf({ statistics, rows })] as const;
  };
  const [whole, parts] = [await of(), await of(3)]; // 3 + 3 + 1
  t.true(relativeDifference(parts[0], whole[0]) < 1e-5);
  t.true(relativeDifference(parts[1], whole[1]) < 1e-5);
});

test('small crops are of whole patches, as large a part as in the paper', (t) => {
  const sideOf = (flags: object) => methodOf({ ...SMALL, ...HEAD, ...flags }).definition.automatic;
  for (const [imageSize, patchSize, side] of [
    [224, 16, 96],
    [64, 8, 24],
    [16, 4, 8],
  ] as const) {
    const { method, options } = methodOf({ ...SMALL, ...HEAD, imageSize, patchSize });
    t.deepEqual(sideOf({ imageSize, patchSize })?.(options), { localImageSize: side });
    const [first, second, local] = method.views;
    t.deepEqual([first?.crop?.blur, second?.crop?.blur, local?.crop?.blur], [1, 0.1, 0.5]);
    t.is(second?.crop?.solarize, 0.2);
    t.is(local?.crop?.imageSize, side);
    t.is(local?.count, 3);
  }
  t.throws(() => methodOf({ ...SMALL, localImageSize: 10 }), { name: 'UserError', message: /patches of 4 pixels/ });
});

async function load(name: string) {
  const golden = await readGolden<Settings>('dino');
  const { imageSize, localImageSize, patchSize, encoder, head, cases, ...own } = golden.settings;
  const { losses, localCrops, lastLayerLengths } = cases[name] as Settings['cases'][string];
  const [startTeacherTemperature, , teacherTemperature] = own.teacherTemperatures;
  const flags = {
    ...{ method: 'dino', imageSize, patchSize, ...encoder, localCrops, localImageSize, lastLayerLengths },
    ...{ headDim: head.hidden, bottleneckDim: head.bottleneck, outputDim: head.outputs, ema: own.emaDecays[0] },
    ...{ startTeacherTemperature, teacherTemperature, teacherWarmupEpochs: 3, centreMomentum: own.centreMomentum },
    ...{ studentTemperature: own.studentTemperature, lastLayerFrozenEpochs: own.frozenEpochs },
  };
  const { options } = resolveOptions({ methods: METHODS, flags });
  const backbone = createVit({
    imageSize,
    patchSize,
    encoder: { ...encoder, mlpRatio: 4, classToken: true, classFeatures: true },
  });
  const method = dino(backbone, options as Parameters<typeof dino>[1]);
  const batch = { views: await viewsOf(golden, method), groups: [{ imageCount: 3, masks: {} }] };
  const trained: Trained = {
    ...{ method, networks: networksOf(golden, method, name), imageSize, batch },
    context: {
      state: { centre: golden.tensor('centre') },
      rates: { teacherTemperature: tf.scalar(own.teacherTemperatures[0] as number) },
    },
    nameOf,
  };
  return { golden, trained, losses };
}
