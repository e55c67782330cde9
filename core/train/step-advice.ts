import { existsSync } from 'node:fs';
import { latestCheckpoint } from '../checkpoint/names.js';
import { UserError } from '../errors.js';
import { NotFinite, type TrainStep } from './step.js';

/**
 * A training step that says what to do where it did not give finite numbers.
 * @param checkpoints the run's folder of checkpoints
 */
export function withAdvice(step: TrainStep, learningRate: number, checkpoints: string): TrainStep {
  return async (state, batch, rates) => {
    try {
      return await step(state, batch, rates);
    } catch (error) {
      throw error instanceof NotFinite ? adviceOn(error, learningRate, checkpoints) : error;
    }
  };
}

function adviceOn(error: NotFinite, learningRate: number, checkpoints: string): UserError {
  const { loss, gradientNorm, weightNorm } = error.numbers;
  const latest = latestCheckpoint(checkpoints);
  const saved = existsSync(latest) ? `the last good checkpoint is ${latest}` : 'no checkpoint was saved before';
  const weights = weightNorm === undefined ? '' : `, of the new weights ${weightNorm}`;
  return new UserError(`${error.message} (loss ${loss}, norm of the gradients ${gradientNorm}${weights}); ${saved}`, {
    expected: 'a finite loss and finite weights',
    remedy: `start a new run with a lower --learning-rate (here ${learningRate}) or a longer --warmup-epochs`,
  });
}
