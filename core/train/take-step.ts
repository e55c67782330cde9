import { existsSync } from 'node:fs';
import { latestCheckpoint } from '../checkpoint/names.js';
import type { Options } from '../config/schema.js';
import { objectiveOf } from '../config/settings.js';
import type { Engine } from '../engine/contract.js';
import { type Scalar, tf } from '../engine/tf.js';
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
  targetDeviation: number;
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
    const { state: next, ...scalars } = compute(state, batch, rates);
    const values = await readScalars(scalars);
    if (!Object.values(values).every(Number.isFinite)) throw notFinite(values, next.step, options, checkpoints);
    tf.dispose(state);
    return { state: next, ...values };
  };
}

/** The values of scalars, which are disposed of. */
async function readScalars<Name extends string>(scalars: Record<Name, Scalar>): Promise<Record<Name, number>> {
  const entries = Object.entries<Scalar>(scalars).map(async ([name, scalar]) => [name, (await scalar.data())[0]]);
  const values = Object.fromEntries(await Promise.all(entries));
  tf.dispose(scalars);
  return values;
}

function notFinite(
  { loss, gradientNorm, weightNorm }: { loss: number; gradientNorm: number; weightNorm: number },
  step: number,
  { learningRate }: Options,
  checkpoints: string,
): UserError {
  const latest = latestCheckpoint(checkpoints);
  const saved = existsSync(latest) ? `the last good checkpoint is ${latest}` : 'no checkpoint was saved before';
  const numbers = `loss ${loss}, norm of the gradients ${gradientNorm}, of the new weights ${weightNorm}`;
  return new UserError(`step ${step} did not give finite numbers (${numbers}); ${saved}`, {
    expected: 'a finite loss and finite weights',
    remedy: `start a new run with a lower --learning-rate (here ${learningRate}) or a longer --warmup-epochs`,
  });
}
