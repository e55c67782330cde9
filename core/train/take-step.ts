import { existsSync } from 'node:fs';
import { latestCheckpoint } from '../checkpoint/names.js';
import type { Options } from '../config/schema.js';
import { objectiveOf } from '../config/settings.js';
import type { Engine } from '../engine/contract.js';
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
 * What it returns throws a UserError if loss or weights are not finite numbers; the given state is then still whole.
 * @param checkpoints the run's folder of checkpoints, for the message
 */
export function prepareStep(options: Options, model: Ijepa, engine: Engine, checkpoints: string): TakeStep {
  const objective = objectiveOf(options);
  const { beta1, beta2, epsilon } = options;
  const compute = engine.compile((state: TrainState, batch: TrainBatch, rates: StepRates) =>
    trainStep(model, objective, state, batch, rates, { beta1, beta2, epsilon }),
  );
  return async (state, batch, rates) => {
    const { state: next, loss, predictionLoss, gradientNorm, weightNorm } = compute(state, batch, rates);
    const scalars = [loss, predictionLoss, gradientNorm, weightNorm];
    const values = await Promise.all(scalars.map(async (scalar) => (await scalar.data())[0] as number));
    tf.dispose(scalars);
    if (!values.every(Number.isFinite)) throw notFinite(values, next.step, options, checkpoints);
    tf.dispose(state);
    const [lossValue, predictionValue, norm] = values as [number, number, number];
    return { state: next, loss: lossValue, predictionLoss: predictionValue, gradientNorm: norm };
  };
}

function notFinite(values: number[], step: number, { learningRate }: Options, checkpoints: string): UserError {
  const latest = latestCheckpoint(checkpoints);
  const saved = existsSync(latest) ? `the last good checkpoint is ${latest}` : 'no checkpoint was saved before';
  const numbers = `loss ${values[0]}, norm of the gradients ${values[2]}, of the new weights ${values[3]}`;
  return new UserError(`step ${step} did not give finite numbers (${numbers}); ${saved}`, {
    expected: 'a finite loss and finite weights',
    remedy: `start a new run with a lower --learning-rate (here ${learningRate}) or a longer --warmup-epochs`,
  });
}
