import type { ExecutionContext } from 'ava';
import type { Engine } from '../../core/engine/contract.js';
import { type Tensor, tf } from '../../core/engine/tf.js';
import { viewSides } from '../../core/methods/batch.js';
import type { Method, Networks } from '../../core/methods/method.js';
import { createOptimiser } from '../../core/optim/create.js';
import type { Optimiser } from '../../core/optim/optimiser.js';
import { prepareGradients } from '../../core/train/gradients.js';
import { type PartContext, splitBatch, type TrainBatch } from '../../core/train/parts.js';
import { initialState, type TrainState } from '../../core/train/state.js';
import { prepareStep } from '../../core/train/step.js';
import type { StepRates } from '../../core/train/update.js';
import { relativeDifference } from './engines.js';
import type { Golden } from './golden.js';

/** A method with weights that another program started from, and what that learned from in each step. */
export interface Trained {
  method: Method;
  networks: Networks;
  batch: TrainBatch;
  imageSize: number;
  /** The method's own state at the start, and its rates in the first step. */
  context?: PartContext;
  /** Where a golden file has a parameter: under this name, after a prefix. */
  nameOf(network: string, parameter: string): string;
  /** Those names of parameters whose gradient is 0: rounding alone is there, which Adam magnifies. */
  withoutEffect?: readonly string[];
}

const FORWARD = 2e-6;
const GRADIENT = 2e-5;
const WEIGHT = 2e-5;

/**
 * The method's loss and gradients, at once and in two uneven parts, are those of a golden file. On openvino, which compiles
 * each shape for a second, at once only; test/train/step.test.ts has parts there, too.
 * @param prefix of the gradients in the file
 */
export async function checkGradients<S>(
  t: ExecutionContext,
  engine: Engine,
  golden: Golden<S>,
  { method, networks, batch, imageSize, context = { state: {}, rates: {} }, nameOf, withoutEffect = [] }: Trained,
  loss: number,
  prefix: string,
): Promise<void> {
  const images = imagesOf(batch);
  for (const microBatchSize of engine.name === 'openvino' ? [images] : [images, images - 1]) {
    const parts = splitBatch(method.views, viewSides(method, imageSize), batch, context, microBatchSize, 1);
    const result = await prepareGradients(engine, method, 0, 1)(networks, parts, 1);
    const [value = Number.NaN] = await result.loss.data();
    t.true(Math.abs(value - loss) <= FORWARD * loss, `loss ${value}, expected ${loss}`);
    for (const [network, gradients] of Object.entries(result.gradients)) {
      for (const [name, gradient] of Object.entries(gradients)) {
        const stored = nameOf(network, name);
        if (!withoutEffect.includes(stored)) await nearParameter(t, golden, gradient, prefix + stored, GRADIENT);
        else t.true((await gradient.data()).every((value) => Math.abs(value) < GRADIENT));
      }
    }
  }
}

/**
 * Some steps of the trainer give the losses and, in the end, the weights of a golden file.
 * @param settings of AdamW, or another optimiser
 * @param rates of every step, or of each, counted from 1
 * @param prefixOf of a network's weights in the file
 * @returns the state after
 */
export async function checkSteps<S>(
  t: ExecutionContext,
  engine: Engine,
  golden: Golden<S>,
  { method, networks, batch, imageSize, context, nameOf, withoutEffect = [] }: Trained,
  losses: readonly number[],
  settings: { beta1: number; beta2: number; epsilon: number; clipGradient?: number } | Optimiser,
  rates: StepRates | ((step: number) => StepRates),
  prefixOf: (network: string) => string,
): Promise<TrainState> {
  const isOptimiser = 'update' in settings;
  const optimiser = isOptimiser
    ? settings
    : createOptimiser(engine, { ...settings, optimiser: 'adamw', momentum: 0, matrixRate: 1 });
  const sides = viewSides(method, imageSize);
  const takeStep = prepareStep(engine, method, optimiser, { sides, microBatchSize: imagesOf(batch), seed: 0 });
  const start = initialState(method, optimiser.slotNames, 0);
  let state = { ...start, networks, own: context?.state ?? start.own };
  for (const loss of losses) {
    const taken = await takeStep(state, batch, typeof rates === 'function' ? rates(state.step + 1) : rates);
    state = taken.state;
    t.true(Math.abs(taken.loss - loss) <= WEIGHT * loss, `step ${state.step}: loss ${taken.loss}, expected ${loss}`);
  }
  for (const [network, parameters] of Object.entries(state.networks)) {
    for (const [name, tensor] of Object.entries(parameters)) {
      const stored = nameOf(network, name);
      if (!withoutEffect.includes(stored)) await nearParameter(t, golden, tensor, prefixOf(network) + stored, WEIGHT);
    }
  }
  return state;
}

const imagesOf = ({ groups }: TrainBatch) => groups.reduce((sum, { imageCount }) => sum + imageCount, 0);

/**
 * Compares a parameter or its gradient. The gradient of what is added to all keys, their biases and that of a norm before
 * them alone, is 0, as attention does not change with it: what is there is rounding, which Adam magnifies, so that it is
 * left out.
 */
async function nearParameter<S>(
  t: ExecutionContext,
  golden: Golden<S>,
  actual: Tensor,
  name: string,
  tolerance: number,
): Promise<void> {
  if (name.endsWith('norm1_k.bias')) return;
  if (!name.endsWith('attn.qkv.bias')) return golden.near(t, actual, name, tolerance);
  const ofQueriesAndValues = async (bias: Tensor) => {
    const values = await bias.data();
    const third = values.length / 3;
    return [...values].filter((_, at) => at < third || at >= 2 * third);
  };
  const expected = golden.tensor(name);
  const difference = relativeDifference(await ofQueriesAndValues(actual), await ofQueriesAndValues(expected));
  t.true(difference <= tolerance, `${name}: off by ${difference}, allowed ${tolerance}`);
  tf.dispose(expected);
}
