import { existsSync } from 'node:fs';
import { UserError } from '../base/errors.js';
import { latestCheckpoint } from '../checkpoint/names.js';
import { type Brought, describeBrought } from '../plugins/brought.js';
import { NotFinite, type TrainStep } from '../train/step.js';
import type { Terms } from '../train/terms.js';

/**
 * A training step that says what to do where it did not give finite numbers.
 * @param terms of what is trained for
 * @param checkpoints the run's folder of checkpoints
 */
export function withAdvice(step: TrainStep, terms: Terms, learningRate: number, checkpoints: string): TrainStep {
  return async (state, batch, rates) => {
    try {
      return await step(state, batch, rates);
    } catch (error) {
      throw error instanceof NotFinite ? adviceOn(error, terms, learningRate, checkpoints) : error;
    }
  };
}

function adviceOn(error: NotFinite, terms: Terms, learningRate: number, checkpoints: string): UserError {
  const { loss, gradientNorm, weightNorm } = error.numbers;
  const latest = latestCheckpoint(checkpoints);
  const saved = existsSync(latest) ? `the last good checkpoint is ${latest}` : 'no checkpoint was saved before';
  const weights = weightNorm === undefined ? '' : `, of the new weights ${weightNorm}`;
  return new UserError(`${error.message} (loss ${loss}, norm of the gradients ${gradientNorm}${weights}); ${saved}`, {
    expected: `a finite loss and finite weights${origin(error.numbers, terms)}`,
    remedy: `start a new run with a lower --learning-rate (here ${learningRate}) or a longer --warmup-epochs`,
  });
}

/** Which term gave no number, as the end of a sentence; empty where the weights are to blame. */
function origin({ loss, predictionLoss, weightNorm }: NotFinite['numbers'], terms: Terms): string {
  if (weightNorm !== undefined) return '';
  const suspects: Brought[] = [];
  if (!Number.isFinite(predictionLoss) || Number.isFinite(loss)) suspects.push(terms.loss);
  if (Number.isFinite(predictionLoss) && terms.regularizer) suspects.push(terms.regularizer);
  const what = Number.isFinite(loss) ? 'gradients' : 'numbers';
  return `; what gave none are the ${what} of ${suspects.map(describeBrought).join(' or ')}`;
}
