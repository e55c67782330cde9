import type { Engine } from '../engine/contract.js';
import { type Scalar, type Tensor, tf } from '../engine/tf.js';
import type { AdamSettings } from '../engine/update.js';
import type { Ijepa, Weights } from '../methods/ijepa/model.js';
import { type AdamState, initialAdamState } from '../optim/adamw.js';
import type { TrainBatch } from './micro-batch.js';
import { type Objective, type ObjectiveGradients, prepareObjective, trainable } from './objective.js';
import { updateState } from './update.js';

/** Everything that a step changes. */
export type TrainState = {
  /** Steps done. */
  step: number;
  weights: Weights;
  /** Of the context encoder and the predictor, by names such as 'encoder.norm.weight'. */
  moments: AdamState;
};

/** The scheduled values of one step. */
export interface StepRates {
  learningRate: number;
  weightDecay: number;
  /** Of the moving average. */
  momentum: number;
}

/** What a step says of itself. */
export type StepNumbers = {
  /** The whole objective: prediction loss plus weighted regularizer. */
  loss: number;
  predictionLoss: number;
  /** Mean over features of the standard deviation, over the batch's images, of each image's average target. */
  targetDeviation: number;
  /** Norm of all gradients together. */
  gradientNorm: number;
};

/** Of a step whose loss, gradients or weights are not finite numbers. */
export class NotFinite extends Error {
  override readonly name = 'NotFinite';
  constructor(
    readonly step: number,
    readonly numbers: StepNumbers & { weightNorm?: number },
  ) {
    super(`step ${step} did not give finite numbers`);
  }
}

/**
 * One training step of I-JEPA (paper, section 3): targets from the whole image, context, prediction, loss, gradients,
 * AdamW, moving average. The given state is disposed of; the next one is the caller's.
 *
 * Throws NotFinite. Where loss or gradients are to blame, the given state is still whole.
 */
export type TrainStep = (
  state: TrainState,
  batch: TrainBatch,
  rates: StepRates,
) => Promise<{ state: TrainState } & StepNumbers>;

export function initialTrainState(weights: Weights): TrainState {
  return { step: 0, weights, moments: initialAdamState(trainable(weights)) };
}

/** Prepares the training step for an engine. */
export function prepareTrainStep(engine: Engine, model: Ijepa, objective: Objective, adam: AdamSettings): TrainStep {
  const compute = prepareObjective(engine, model, objective);
  const summarise = engine.compile(summary);
  return async (state, batch, rates) => {
    const result = await compute(state.weights, batch, state.step + 1);
    const numbers = await readScalars(await summarise(result));
    if (!Object.values(numbers).every(Number.isFinite)) {
      tf.dispose(result);
      throw new NotFinite(state.step + 1, numbers);
    }
    const { state: next, weightNorm } = await updateState(engine, adam, state, result.gradients, rates);
    tf.dispose(result);
    if (!Number.isFinite(weightNorm)) {
      tf.dispose(next);
      throw new NotFinite(next.step, { ...numbers, weightNorm });
    }
    return { state: next, ...numbers };
  };
}

/** What is logged of an objective's gradients. */
function summary({
  loss,
  predictionLoss,
  targetMeans,
  gradients,
}: ObjectiveGradients): Record<keyof StepNumbers, Scalar> {
  return tf.tidy(() => ({
    loss: loss.clone(),
    predictionLoss: predictionLoss.clone(),
    targetDeviation: tf.moments(targetMeans, 0).variance.sqrt().mean() as Scalar,
    gradientNorm: globalNorm(Object.values(gradients)),
  }));
}

/** √ Σ ‖x‖² over all tensors. */
function globalNorm(tensors: readonly Tensor[]): Scalar {
  return tf.addN(tensors.map((tensor) => tensor.square().sum())).sqrt() as Scalar;
}

/** The values of scalars, which are disposed of. */
async function readScalars<Name extends string>(scalars: Record<Name, Scalar>): Promise<Record<Name, number>> {
  const entries = Object.entries<Scalar>(scalars).map(async ([name, scalar]) => [name, (await scalar.data())[0]]);
  const values = Object.fromEntries(await Promise.all(entries));
  tf.dispose(scalars);
  return values;
}
