import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { readSafetensors, type TensorFile } from '../../core/checkpoint/safetensors.js';
import type { Engine } from '../../core/engine/contract.js';
import { type Tensor, tf } from '../../core/engine/tf.js';
import {
  createIjepa,
  encodeContext,
  encodeImages,
  encodeTargets,
  type Ijepa,
  predictTargets,
  type Weights,
} from '../../core/methods/ijepa/model.js';
import type { GroupMasks } from '../../core/methods/masks/multiblock.js';
import { encoderShapes, type ParameterShapes, type Parameters, predictorShapes } from '../../core/nn/parameters.js';
import type { ModelSize } from '../../core/nn/sizes.js';
import { type MaskIndices, maskTensors } from '../../core/nn/tokens.js';
import { learningRateAt, momentumAt, weightDecayAt } from '../../core/optim/schedules.js';
import type { TrainBatch } from '../../core/train/micro-batch.js';
import { prepareObjective } from '../../core/train/objective.js';
import { initialTrainState, prepareTrainStep, type TrainState } from '../../core/train/step.js';
import { findEngines, relativeDifference, testOnEngines } from '../helpers/engines.js';
import { objectiveOf } from '../helpers/objective.js';
import { FIXTURES } from '../helpers/paths.js';

/*
 * Holds this program against values that were computed once with the reference training code (PyTorch 1.13, CPU,
 * float32) on small random models. IJEPA_REFERENCE names a folder with more such cases.
 */
const REFERENCE = process.env.IJEPA_REFERENCE ?? join(FIXTURES, 'reference');
const TOLERANCE = { forward: 1e-5, gradient: 1e-4, weightsAfter: 1e-4 };
const OBJECTIVE = objectiveOf('smooth-l1', 'none', 1024);

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
  model: Ijepa;
  weights: Weights;
  expected: TensorFile;
}

const cases = readdirSync(REFERENCE).filter((name) => name.startsWith('case-'));

const engines = await findEngines();

test('there are reference cases', (t) => {
  t.true(cases.length > 0, `no folder case-* in ${REFERENCE}`);
});

for (const name of cases) {
  const parts = {
    'features, context, targets, predictions and loss': checkForward,
    gradients: checkGradients,
    'schedules, losses and weights of every step': checkTraining,
  };
  for (const [part, check] of Object.entries(parts)) {
    testOnEngines(test, engines, `${name}: ${part}`, async (t, engine) => check(t, await readCase(name), engine));
  }
}

async function checkForward(t: ExecutionContext, { model, weights, expected }: Case, engine: Engine) {
  const batch = batchOf(expected, '');
  const [masks] = batch.masks as [GroupMasks];
  const images = imagesTensor(model, batch.images);
  const context = maskTensors(masks.context, model.patchCount);
  const targets = maskTensors(masks.targets, model.patchCount);
  const contextTokens = encodeContext(model, weights.encoder, images, context);
  await near(t, encodeImages(model, weights.encoder, images), expected, 'encoder.features', TOLERANCE.forward);
  await near(t, contextTokens, expected, 'encoder.context', TOLERANCE.forward);
  const wanted = encodeTargets(model, weights.target, images, targets, context.masks);
  await near(t, wanted, expected, 'targets', TOLERANCE.forward);
  const predicted = predictTargets(model, weights.predictor, contextTokens, context, targets);
  await near(t, predicted, expected, 'predictions', TOLERANCE.forward);
  const { loss } = await prepareObjective(engine, model, OBJECTIVE)(weights, batch, 1);
  await near(t, loss, expected, 'loss', TOLERANCE.forward);
}

async function checkGradients(t: ExecutionContext, { model, weights, expected }: Case, engine: Engine) {
  const { gradients } = await prepareObjective(engine, model, OBJECTIVE)(weights, batchOf(expected, ''), 1);
  for (const [name, gradient] of Object.entries(gradients)) {
    await near(t, gradient, expected, `grad.${name}`, TOLERANCE.gradient);
  }
}

async function checkTraining(t: ExecutionContext, { config, model, weights, expected }: Case, engine: Engine) {
  const { hyper } = config;
  const length = {
    stepsPerEpoch: hyper.iterations_per_epoch,
    epochs: hyper.num_epochs,
    scheduleStretch: hyper.ipe_scale,
  };
  const learningRates = {
    startLearningRate: hyper.start_lr,
    learningRate: hyper.ref_lr,
    finalLearningRate: hyper.final_lr,
    warmupEpochs: hyper.warmup,
  };
  const weightDecay = {
    weightDecay: hyper.wd,
    finalWeightDecay: hyper.final_wd,
    weightDecaySchedule: 'cosine',
  } as const;
  const adam = { beta1: hyper.betas[0], beta2: hyper.betas[1], epsilon: hyper.eps };
  const trainStep = prepareTrainStep(engine, model, OBJECTIVE, adam);
  let state: TrainState = initialTrainState(weights);
  for (const want of config.steps) {
    const step = want.step + 1;
    const rates = {
      learningRate: learningRateAt(step, learningRates, length),
      weightDecay: weightDecayAt(step, weightDecay, length),
      momentum: momentumAt(step, hyper.ema[0], hyper.ema[1], length),
    };
    closeNumber(t, rates.learningRate, want.lr, 1e-12, `learning rate of step ${step}`);
    closeNumber(t, rates.weightDecay, want.weight_decay, 1e-12, `weight decay of step ${step}`);
    closeNumber(t, rates.momentum, want.momentum, 1e-12, `momentum of step ${step}`);
    const result = await trainStep(state, batchOf(expected, `step${want.step}.`), rates);
    closeNumber(t, result.loss, want.loss, 1e-4, `loss of step ${step}`);
    state = result.state;
  }
  const { encoder, predictor, target } = state.weights;
  for (const [prefix, parameters] of Object.entries({ encoder, predictor, target_encoder: target })) {
    for (const [name, tensor] of Object.entries(parameters)) {
      await near(t, tensor, expected, `after.${prefix}.${name}`, TOLERANCE.weightsAfter);
    }
  }
}

async function readCase(name: string): Promise<Case> {
  const config: CaseConfig = JSON.parse(readFileSync(join(REFERENCE, name, 'config.json'), 'utf8'));
  const heads = config.num_heads;
  const size: ModelSize = {
    imageSize: config.image_size,
    patchSize: config.patch_size,
    encoder: { dim: config.embed_dim, depth: config.depth, heads, mlpRatio: 4 },
    predictor: { dim: config.predictor_embed_dim, depth: config.predictor_depth, heads, mlpRatio: 4 },
  };
  const stored = await readSafetensors(join(REFERENCE, name, 'weights.safetensors'));
  return {
    config,
    model: createIjepa(size),
    weights: {
      encoder: parametersOf(stored, 'encoder.', encoderShapes(size)),
      predictor: parametersOf(stored, 'predictor.', predictorShapes(size)),
      target: parametersOf(stored, 'target_encoder.', encoderShapes(size)),
    },
    expected: await readSafetensors(join(REFERENCE, name, 'expected.safetensors')),
  };
}

function parametersOf(file: TensorFile, prefix: string, shapes: ParameterShapes): Parameters {
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => [name, tf.tensor(floats(file, prefix + name), [...shape])]),
  );
}

function batchOf(file: TensorFile, prefix: string): TrainBatch {
  const stored = file.tensors.get(`${prefix}images`);
  if (!stored) throw new Error(`the case has no ${prefix}images`);
  const [count, , side] = stored.shape as [number, number, number];
  const planes = floats(file, `${prefix}images`); // [B, 3, S, S]
  const images = new Float32Array(planes.length); // [B, S, S, 3]
  const area = side * side;
  for (let image = 0; image < count; image++) {
    for (let pixel = 0; pixel < area; pixel++) {
      for (let colour = 0; colour < 3; colour++) {
        images[(image * area + pixel) * 3 + colour] = planes[(image * 3 + colour) * area + pixel] as number;
      }
    }
  }
  const masks = { context: mask(file, `${prefix}masks_enc`), targets: mask(file, `${prefix}masks_pred`) };
  return { images, masks: [masks] };
}

function mask(file: TensorFile, name: string): MaskIndices {
  const stored = file.tensors.get(name);
  if (!stored) throw new Error(`the case has no ${name}`);
  const [masks, images, tokens] = stored.shape as [number, number, number];
  return { masks, images, tokens, indices: Int32Array.from(stored.data as BigInt64Array, Number) };
}

function imagesTensor({ size: { imageSize: side } }: Ijepa, images: Float32Array): Tensor {
  return tf.tensor4d(images, [images.length / (3 * side ** 2), side, side, 3]);
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
