import { existsSync } from 'node:fs';
import { latestCheckpoint } from '../checkpoint/checkpoint.js';
import type { Options } from '../config/schema.js';
import { objectiveOf } from '../config/settings.js';
import type { Engine } from '../engine/contract.js';
import { outOfMemory } from '../engine/memory.js';
import { tf } from '../engine/tf.js';
import { UserError } from '../errors.js';
import type { Ijepa } from '../model/ijepa.js';
import type { TrainBatch } from './micro-batch.js';
import { type StepRates, type TrainState, trainStep } from './step.js';

/** A step that was computed and whose scalars were read. */
export interface TakenStep {
  /** The caller's to dispose. */
  state: TrainState;
  loss: number;
  predictionLoss: number;
  gradientNorm: number;
}

/** Computes a step, reads its scalars and disposes of the state before it. */
export type TakeStep = (state: TrainState, batch: TrainBatch, rates: StepRates) => Promise<TakenStep>;

/**
 * Prepares the training step of a run.
 *
 * What it returns throws a UserError if memory runs out or the loss is not a finite number; the given state is then
 * still whole.
 * @param checkpoints the run's folder of checkpoints, for the message
 */
export function prepareStep(options: Options, model: Ijepa, engine: Engine, checkpoints: string): TakeStep {
  const objective = objectiveOf(options);
  const { beta1, beta2, epsilon } = options;
  const compute = engine.compile((state: TrainState, batch: TrainBatch, rates: StepRates) =>
    trainStep(model, objective, state, batch, rates, { beta1, beta2, epsilon }),
  );
  return async (state, batch, rates) => {
    try {
      const { state: next, loss, predictionLoss, gradientNorm } = compute(state, batch, rates);
      const scalars = [loss, predictionLoss, gradientNorm];
      const values = await Promise.all(scalars.map(async (scalar) => (await scalar.data())[0] as number));
      tf.dispose(scalars);
      if (!values.every(Number.isFinite)) throw notFinite(values, next.step, options, checkpoints);
      tf.dispose(state);
      const [lossValue, predictionValue, norm] = values as [number, number, number];
      return { state: next, loss: lossValue, predictionLoss: predictionValue, gradientNorm: norm };
    } catch (error) {
      throw outOfMemory(error, options) ?? error;
    }
  };
}

function notFinite(values: number[], step: number, { learningRate }: Options, checkpoints: string): UserError {
  const latest = latestCheckpoint(checkpoints);
  const saved = existsSync(latest) ? `the last good checkpoint is ${latest}` : 'no checkpoint was saved before';
  return new UserError(
    `the loss of step ${step} is not a finite number (loss ${values[0]}, gradient norm ${values[2]}); ${saved}`,
    { expected: 'a finite loss', remedy: `lower --learning-rate (it is ${learningRate}) or lengthen --warmup-epochs` },
  );
}
