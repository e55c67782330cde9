import { mapValues } from '../../core/base/map-values.js';
import { RandomStream } from '../../core/base/random.js';
import type { Engine } from '../../core/engine/contract.js';
import { type Tensor, tf } from '../../core/engine/tf.js';
import { drawBatch, drawnTensors, noiseViews, viewSides } from '../../core/methods/batch.js';
import type { Method, Networks, Part } from '../../core/methods/method.js';
import { adamw } from '../../core/optim/adamw.js';
import { prepareGradients, usableConcurrency } from '../../core/train/gradients.js';
import { type PartContext, splitBatch, type TrainBatch } from '../../core/train/parts.js';
import { tensorsOf } from '../../core/train/state.js';
import { prepareStep } from '../../core/train/step.js';

export const ADAM = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
/** More images than any batch of a test has. */
const WHOLE = 1024;

/** A method, and the side of its images. */
export interface Trainable {
  method: Method;
  options: { imageSize: number };
}

/** Normal noise, and what the method draws in a step. */
export function noiseBatch({ method, options }: Trainable, imageCount: number, step = 1): TrainBatch {
  const stream = new RandomStream(0, 'pictures', step);
  const views = noiseViews(method, viewSides(method, options.imageSize), imageCount, stream);
  return { views, groups: drawBatch(method, 0, step, imageCount).groups };
}

/** A method's own state at the start, and its rates in the first of a hundred steps. */
export function contextOf({ state, rates }: Method): PartContext {
  const length = { stepsPerEpoch: 10, epochs: 10, scheduleStretch: 1 };
  const scalars = mapValues(rates, (rate) => tf.scalar(rate(1, length)));
  return { state: drawnTensors(state?.initial ?? {}), rates: scalars };
}

/** The parts of a batch on the engine. */
export function partsOf(
  { method, options }: Trainable,
  batch: TrainBatch,
  { microBatchSize = WHOLE, concurrency = 1, context = { state: {}, rates: {} } as PartContext } = {},
): Part[] {
  return splitBatch(method.views, viewSides(method, options.imageSize), batch, context, microBatchSize, concurrency);
}

/** Computes the loss and the gradients of a batch as a step does, of at most so many images at once. */
export function prepareBatchGradients(engine: Engine, trainable: Trainable, microBatchSize = WHOLE, recompute = false) {
  const concurrency = Math.min(usableConcurrency(engine, trainable.method), microBatchSize);
  const compute = prepareGradients(engine, trainable.method, 0, concurrency, recompute);
  return (networks: Networks, batch: TrainBatch, step = 1, context?: PartContext) =>
    compute(networks, partsOf(trainable, batch, { microBatchSize, concurrency, ...(context && { context }) }), step);
}

/** The training step with AdamW; seed 0. */
export function prepareTestStep(engine: Engine, { method, options }: Trainable, microBatchSize = WHOLE, adam = ADAM) {
  const sides = viewSides(method, options.imageSize);
  return prepareStep(engine, method, adamw(engine, adam), { sides, microBatchSize, seed: 0 });
}

/** All numbers of some networks in one list. */
export async function numbersOf(networks: Networks): Promise<Float32Array> {
  const all = [...tensorsOf(networks)].map(([, , tensor]) => tensor.flatten());
  return (await tf.concat(all).data()) as Float32Array;
}

export async function numberOf(scalar: Tensor): Promise<number> {
  return (await scalar.data())[0] as number;
}
