import type { AdamSettings, Engine, ParameterSlot } from '../engine/contract.js';
import { type Scalar, type Tensor, tf } from '../engine/tf.js';
import { type Parameters, parameter } from '../nn/parameters.js';
import { decaysMatrices } from '../optim/policy.js';
import { differentiate } from '../train/gradients.js';
import { type Classifier, crossEntropy, logitsOf } from './classifier.js';
import type { LabelledBatch } from './labelled-batches.js';

/** Everything that a step of fine-tuning changes. */
export type FineTuneState = {
  /** Steps done. */
  step: number;
  /** Of encoder and head, by name. */
  weights: Parameters;
  moments: AdamState;
};

export interface FineTuneRates {
  learningRate: number;
  weightDecay: number;
  /** Each parameter's part of the learning rate, by name. */
  factors: Readonly<Record<string, number>>;
}

/** Of a step whose loss or weights are not finite numbers. */
export class FineTuningNotFinite extends Error {
  override readonly name = 'FineTuningNotFinite';
  constructor(
    readonly step: number,
    readonly loss: number,
    readonly weightNorm: number | null,
  ) {
    super(`step ${step} of fine-tuning did not give finite numbers`);
  }
}

/**
 * One step: logits, cross-entropy, gradients, AdamW with a learning rate for each layer. The given state is used up; the
 * next one is the caller's. Throws FineTuningNotFinite; where the loss is to blame, the given state is still whole.
 */
export type FineTuneStep = (
  state: FineTuneState,
  batch: LabelledBatch,
  rates: FineTuneRates,
) => Promise<{ state: FineTuneState; loss: number }>;

export function initialFineTuneState(weights: Parameters): FineTuneState {
  return { step: 0, weights, moments: initialAdamState(weights) };
}

/** How the cross-entropy of a batch is computed. */
export interface LossSettings {
  /** Images computed at once; the gradients of a larger batch are added up, with the same result. */
  microBatchSize: number;
  /** Part of the target that is spread evenly over all classes. */
  labelSmoothing: number;
}

/** Prepares the step for an engine. */
export function prepareFineTuneStep(
  engine: Engine,
  classifier: Classifier,
  adam: AdamSettings,
  loss: LossSettings,
): FineTuneStep {
  const compute = prepareClassifierGradients(engine, classifier, loss);
  return async (state, batch, rates) => {
    const { loss, gradients } = await compute(state.weights, batch);
    if (!Number.isFinite(loss)) {
      tf.dispose(gradients);
      throw new FineTuningNotFinite(state.step + 1, loss, null);
    }
    const { state: next, weightNorm } = await updateState(engine, adam, state, gradients, rates);
    tf.dispose(gradients);
    if (!Number.isFinite(weightNorm)) {
      tf.dispose(next);
      throw new FineTuningNotFinite(next.step, loss, weightNorm);
    }
    return { state: next, loss };
  };
}

/** The cross-entropy of a batch and its gradients by name, which are the caller's to dispose. */
export function prepareClassifierGradients(engine: Engine, classifier: Classifier, settings: LossSettings) {
  const computePart = engine.compile((weights: Parameters, part: Part) =>
    tf.tidy(() =>
      differentiate({ weights }, ({ weights: parameters }) => {
        const logits = logitsOf(classifier, parameters as Parameters, part.images);
        return crossEntropy(logits, part.targets).mul(part.share) as Scalar;
      }),
    ),
  );
  return async (weights: Parameters, batch: LabelledBatch): Promise<{ loss: number; gradients: Parameters }> => {
    let sum: { loss: number; gradients: Parameters } | null = null;
    for (const part of partsOf(classifier, batch, settings)) {
      const { value, gradients: computed } = await computePart(weights, part);
      const gradients = computed.weights as Parameters;
      const loss = (await value.data())[0] as number;
      tf.dispose([value, part]);
      sum = sum
        ? { loss: sum.loss + loss, gradients: await add(engine, sum.gradients, gradients) }
        : { loss, gradients };
    }
    if (!sum) throw new Error('a batch has no images');
    return sum;
  };
}

/** A part of a batch that is computed at once. */
type Part = {
  /** [b, S, S, 3] */
  images: Tensor;
  /** The right class, smoothed: 1 - s + s / C there and s / C elsewhere, [b, C]. */
  targets: Tensor;
  /** Its part of the batch's images; the parts' sum is 1. */
  share: number;
};

/** Puts a batch on the engine, part by part. */
function* partsOf(
  { backbone: { imageSize }, classes }: Classifier,
  { images, labels }: LabelledBatch,
  { microBatchSize, labelSmoothing }: LossSettings,
): Generator<Part> {
  const pixels = imageSize * imageSize * 3;
  const count = labels.length;
  if (images.length !== count * pixels) {
    throw new Error(`a batch of ${count} images of ${imageSize} px received ${images.length} values`);
  }
  for (let from = 0; from < count; from += microBatchSize) {
    const to = Math.min(count, from + microBatchSize);
    const targets = new Float32Array((to - from) * classes).fill(labelSmoothing / classes);
    labels.subarray(from, to).forEach((label, row) => {
      if (label < 0 || label >= classes) throw new Error(`an image is of class ${label} of ${classes}`);
      targets[row * classes + label] = 1 - labelSmoothing + labelSmoothing / classes;
    });
    yield {
      images: tf.tensor4d(images.subarray(from * pixels, to * pixels), [to - from, imageSize, imageSize, 3]),
      targets: tf.tensor2d(targets, [to - from, classes]),
      share: (to - from) / count,
    };
  }
}

/** Adds two sets of gradients up; both are used up. */
async function add(engine: Engine, a: Parameters, b: Parameters): Promise<Parameters> {
  const sums: Record<string, Tensor> = {};
  for (const [name, gradient] of Object.entries(b)) sums[name] = await engine.accumulate(parameter(a, name), gradient);
  return sums;
}

/** AdamW, one parameter after the other, so that hardly more than one state is ever held: the given one is used up. */
async function updateState(
  engine: Engine,
  adam: AdamSettings,
  { step, weights, moments }: FineTuneState,
  gradients: Parameters,
  { learningRate, weightDecay, factors }: FineTuneRates,
): Promise<{ state: FineTuneState; weightNorm: number }> {
  const slots: [name: string, slot: ParameterSlot][] = [];
  let sum = 0;
  for (const [name, gradient] of Object.entries(gradients)) {
    const factor = factors[name];
    if (factor === undefined) throw new Error(`there is no learning rate for the parameter '${name}'`);
    const decay = decaysMatrices(name, parameter(weights, name).shape) ? weightDecay : 0;
    const rates = updateRates(step + 1, adam, { learningRate: factor * learningRate, weightDecay: decay });
    const slot = {
      value: parameter(weights, name),
      first: parameter(moments.first, name),
      second: parameter(moments.second, name),
    };
    const updated = await engine.updateParameter(slot, gradient, rates, adam);
    slots.push([name, updated.slot]);
    sum += updated.squares;
  }
  const collect = (part: 'value' | 'first' | 'second'): Parameters =>
    Object.fromEntries(slots.map(([name, slot]) => [name, slot[part]]));
  const state = {
    step: step + 1,
    weights: collect('value'),
    moments: { first: collect('first'), second: collect('second') },
  };
  return { state, weightNorm: Math.sqrt(sum) };
}

type AdamState = { first: Parameters; second: Parameters };

function initialAdamState(parameters: Parameters): AdamState {
  const zeros = () =>
    Object.fromEntries(Object.entries(parameters).map(([name, tensor]) => [name, tf.zeros(tensor.shape)]));
  return { first: zeros(), second: zeros() };
}

function updateRates(
  step: number,
  { beta1, beta2 }: AdamSettings,
  rates: { learningRate: number; weightDecay: number },
) {
  return {
    decayFactor: 1 - rates.learningRate * rates.weightDecay,
    stepSize: rates.learningRate / (1 - beta1 ** step),
    sqrtBiasCorrection2: Math.sqrt(1 - beta2 ** step),
    emaDecay: 1,
  };
}
