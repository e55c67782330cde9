import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { readSafetensors, type TensorFile } from '../../core/checkpoint/safetensors.js';
import { ratesAt } from '../../core/config/settings.js';
import { compileWhole, type Engine, PRECISIONS, type Precision } from '../../core/engine/contract.js';
import { tryEngine } from '../../core/engine/start.js';
import { type Tensor, tf } from '../../core/engine/tf.js';
import type { Networks, Part } from '../../core/methods/method.js';
import type { TokenIndices } from '../../core/nn/tokens.js';
import { adamw } from '../../core/optim/adamw.js';
import type { TrainBatch } from '../../core/train/parts.js';
import { initialState, tensorsOf } from '../../core/train/state.js';
import { findEngines, relativeDifference, testOnEngines, withoutCpu, withoutOpenvino } from '../helpers/engines.js';
import { methodOf } from '../helpers/method.js';
import { FIXTURES } from '../helpers/paths.js';
import { partsOf, prepareBatchGradients, prepareTestStep } from '../helpers/training.js';

/*
 * Holds this program against values that were computed once with the reference training code (PyTorch 1.13, CPU,
 * float32) on small random models, in the precisions that engines have. IJEPA_REFERENCE names a folder with more such cases.
 */
const REFERENCE = process.env.IJEPA_REFERENCE ?? join(FIXTURES, 'reference');

/** The largest difference from the expected values of a tensor, relative to the largest of them; of losses, to themselves. */
const TOLERANCES = {
  float32: { forward: 1e-5, loss: 1e-5, gradient: 1e-4, lossOfStep: 1e-4, weightsAfter: 1e-4 },
  // The first steps of AdamW move every weight by its learning rate, whichever sign a gradient near 0 has.
  bfloat16: { forward: 2e-2, loss: 2e-3, gradient: 5e-2, lossOfStep: 5e-3, weightsAfter: 3e-2 },
};
type Tolerance = (typeof TOLERANCES)[Precision];

interface CaseConfig {
  image_size: number;
  patch_size: number;
  embed_dim: number;
  depth: number;
  num_heads: number;
  predictor_embed_dim: number;
  predictor_depth: number;
  hyper: {
    wd: number;
    final_wd: number;
    start_lr: number;
    ref_lr: number;
    final_lr: number;
    iterations_per_epoch: number;
    warmup: number;
    num_epochs: number;
    ipe_scale: number;
    ema: [number, number];
    betas: [number, number];
    eps: number;
  };
  steps: { step: number; lr: number; weight_decay: number; momentum: number; loss: number }[];
}

interface Case {
  config: CaseConfig;
  ijepa: ReturnType<typeof methodOf>;
  networks: Networks;
  expected: TensorFile;
}

const cases = readdirSync(REFERENCE).filter((name) => name.startsWith('case-'));

const engines = withoutCpu(await findEngines());
/** Each new shape takes openvino a second to compile: it has the first case of ours, and all of another folder. */
const enginesOf = (name: string) =>
  name === cases[0] || 'IJEPA_REFERENCE' in process.env ? engines : withoutOpenvino(engines);

test('there are reference cases', (t) => {
  t.true(cases.length > 0, `no folder case-* in ${REFERENCE}`);
});

for (const name of cases) {
  const parts = {
    'features, context, targets and predictions': checkForward,
    'loss and gradients': checkGradients,
    'schedules, losses and weights of every step': checkTraining,
  };
  for (const [part, check] of Object.entries(parts)) {
    for (const precision of PRECISIONS) {
      const able = precision === 'float32' ? enginesOf(name) : [await tryEngine('openvino', { precision })];
      const body = async (t: ExecutionContext, engine: Engine) =>
        check(t, await readCase(name), engine, TOLERANCES[precision]);
      testOnEngines(test, able, `${name}: ${part}`, body, precision);
    }
  }
}

async function checkForward(
  t: ExecutionContext,
  { ijepa, networks, expected }: Case,
  engine: Engine,
  tolerance: Tolerance,
) {
  const { backbone, method } = ijepa;
  const batch = batchOf(expected, '', backbone.patchCount);
  const [part] = partsOf(ijepa, batch) as [Part];
  const forward = compileWhole(engine, (given: Networks, shown: Part) => {
    const { context, predicted } = method.outputs(given, shown) as { context: Tensor; predicted: Tensor };
    return {
      'encoder.features': backbone.forward(given.encoder, shown.views.image as Tensor),
      'encoder.context': context,
      predictions: predicted,
      targets: method.targets(given, shown).target as Tensor,
    };
  });
  for (const [what, tensor] of Object.entries(await forward(networks, part))) {
    await near(t, tensor, expected, what, tolerance.forward);
  }
}

async function checkGradients(
  t: ExecutionContext,
  { ijepa, networks, expected }: Case,
  engine: Engine,
  tolerance: Tolerance,
) {
  const batch = batchOf(expected, '', ijepa.backbone.patchCount);
  const { loss, gradients } = await prepareBatchGradients(engine, ijepa)(networks, batch);
  await near(t, loss, expected, 'loss', tolerance.loss);
  t.deepEqual(Object.keys(gradients), ['encoder', 'predictor']);
  for (const [network, name, gradient] of tensorsOf(gradients)) {
    await near(t, gradient, expected, `grad.${network}.${name}`, tolerance.gradient);
  }
}

async function checkTraining(
  t: ExecutionContext,
  { config, ijepa, networks, expected }: Case,
  engine: Engine,
  tolerance: Tolerance,
) {
  const { hyper } = config;
  const { method, options, backbone } = ijepa;
  const length = {
    stepsPerEpoch: hyper.iterations_per_epoch,
    epochs: hyper.num_epochs,
    scheduleStretch: hyper.ipe_scale,
  };
  const trainStep = prepareTestStep(engine, ijepa, undefined, options);
  let state = { ...initialState(method, adamw(engine, options).slotNames, 0), networks };
  for (const want of config.steps) {
    const step = want.step + 1;
    const rates = { ...ratesAt(step, options, length), emaDecay: method.rates.emaDecay?.(step, length) ?? Number.NaN };
    closeNumber(t, rates.learningRate, want.lr, 1e-12, `learning rate of step ${step}`);
    closeNumber(t, rates.weightDecay, want.weight_decay, 1e-12, `weight decay of step ${step}`);
    closeNumber(t, rates.emaDecay, want.momentum, 1e-12, `decay of the moving average of step ${step}`);
    const result = await trainStep(state, batchOf(expected, `step${want.step}.`, backbone.patchCount), rates);
    closeNumber(t, result.loss, want.loss, tolerance.lossOfStep, `loss of step ${step}`);
    state = result.state;
  }
  for (const [network, name, tensor] of tensorsOf(state.networks)) {
    await near(t, tensor, expected, `after.${network}.${name}`, tolerance.weightsAfter);
  }
}

async function readCase(name: string): Promise<Case> {
  const config: CaseConfig = JSON.parse(readFileSync(join(REFERENCE, name, 'config.json'), 'utf8'));
  const { hyper } = config;
  const ijepa = methodOf({
    imageSize: config.image_size,
    patchSize: config.patch_size,
    dim: config.embed_dim,
    depth: config.depth,
    heads: config.num_heads,
    predictorDim: config.predictor_embed_dim,
    predictorDepth: config.predictor_depth,
    loss: 'smooth-l1',
    epochs: hyper.num_epochs,
    startLearningRate: hyper.start_lr,
    learningRate: hyper.ref_lr,
    finalLearningRate: hyper.final_lr,
    warmupEpochs: hyper.warmup,
    weightDecay: hyper.wd,
    finalWeightDecay: hyper.final_wd,
    ema: hyper.ema[0],
    finalEma: hyper.ema[1],
    beta1: hyper.betas[0],
    beta2: hyper.betas[1],
    epsilon: hyper.eps,
  });
  const stored = await readSafetensors(join(REFERENCE, name, 'weights.safetensors'));
  const parametersOf = (network: string, shapes: Readonly<Record<string, readonly number[]>>) =>
    Object.fromEntries(
      Object.entries(shapes).map(([own, shape]) => [own, tf.tensor(floats(stored, `${network}.${own}`), [...shape])]),
    );
  const networks = Object.fromEntries(
    Object.entries(ijepa.method.networks).map(([network, { shapes }]) => [network, parametersOf(network, shapes)]),
  );
  return { config, ijepa, networks, expected: await readSafetensors(join(REFERENCE, name, 'expected.safetensors')) };
}

function batchOf(file: TensorFile, prefix: string, patchCount: number): TrainBatch {
  const stored = file.tensors.get(`${prefix}images`);
  if (!stored) throw new Error(`the case has no ${prefix}images`);
  const [imageCount, , side] = stored.shape as [number, number, number];
  const planes = floats(file, `${prefix}images`); // [B, 3, S, S]
  const image = new Float32Array(planes.length); // [B, S, S, 3]
  const area = side * side;
  for (let at = 0; at < imageCount; at++) {
    for (let pixel = 0; pixel < area; pixel++) {
      for (let colour = 0; colour < 3; colour++) {
        image[(at * area + pixel) * 3 + colour] = planes[(at * 3 + colour) * area + pixel] as number;
      }
    }
  }
  const masks = {
    context: mask(file, `${prefix}masks_enc`, patchCount),
    target: mask(file, `${prefix}masks_pred`, patchCount),
  };
  return { views: { image }, groups: [{ imageCount, masks }] };
}

function mask(file: TensorFile, name: string, patchCount: number): TokenIndices {
  const stored = file.tensors.get(name);
  if (!stored) throw new Error(`the case has no ${name}`);
  const [maskCount, imageCount, tokenCount] = stored.shape as [number, number, number];
  const indices = Int32Array.from(stored.data as BigInt64Array, Number);
  return { maskCount, imageCount, tokenCount, patchCount, indices };
}

function floats(file: TensorFile, name: string): Float32Array {
  const stored = file.tensors.get(name);
  if (!(stored?.data instanceof Float32Array)) throw new Error(`the case has no float tensor ${name}`);
  return stored.data;
}

/** The largest difference, relative to the largest expected value, is within the tolerance. */
async function near(t: ExecutionContext, actual: Tensor, file: TensorFile, name: string, tolerance: number) {
  const expected = floats(file, name);
  const difference = relativeDifference(await actual.data(), expected);
  t.true(difference <= tolerance, `${name}: off by ${difference}, allowed ${tolerance}`);
}

function closeNumber(t: ExecutionContext, actual: number, expected: number, tolerance: number, what: string) {
  t.true(Math.abs(actual - expected) <= tolerance * Math.abs(expected), `${what}: ${actual}, expected ${expected}`);
}
