import { existsSync } from 'node:fs';
import { latestCheckpoint } from '../checkpoint/folder.js';
import type { Options } from '../config/schema.js';
import { describeExtension } from '../contract/extension.js';
import { TERM_NAMES } from '../methods/losses.js';
import type { SelectedPlugins } from '../plugins/plugin.js';
import { SharedError } from '../train/communicator/ranks.js';
import { NotFinite, type TrainStep } from '../train/step.js';

type Extensions = SelectedPlugins['extensions'];

/**
 * A training step that says what to do where it did not give finite numbers, which all ranks find at the same time.
 * @param extensions the losses and regularizers that plugins brought to the method
 * @param checkpoints the run's folder of checkpoints
 */
export function withAdvice(step: TrainStep, extensions: Extensions, options: Options, checkpoints: string): TrainStep {
  return async (state, batch, rates) => {
    try {
      return await step(state, batch, rates);
    } catch (error) {
      if (!(error instanceof NotFinite)) throw error;
      const { loss, gradientNorm, weightNorm } = error.numbers;
      const latest = latestCheckpoint(checkpoints);
      const saved = existsSync(latest) ? `the last good checkpoint is ${latest}` : 'no checkpoint was saved before';
      const weights = weightNorm === undefined ? '' : `, of the new weights ${weightNorm}`;
      throw new SharedError(
        `${error.message} (loss ${loss}, norm of the gradients ${gradientNorm}${weights}); ${saved}`,
        {
          expected: `a finite loss and finite weights${origin(error.numbers, extensions)}`,
          remedy: `start a new run with a lower --learning-rate (here ${options.learningRate}) or a longer --warmup-epochs`,
        },
      );
    }
  };
}

/** Which terms are not finite, as the end of a sentence; empty where the weights are to blame. */
function origin({ loss, terms, weightNorm }: NotFinite['numbers'], extensions: Extensions): string {
  if (weightNorm !== undefined) return '';
  const names = Object.keys(terms);
  const suspects = Number.isFinite(loss) ? names : names.filter((name) => !Number.isFinite(terms[name]));
  const what = Number.isFinite(loss) ? 'gradients' : 'values';
  const described = suspects.map((name) => {
    const extension = Object.values(extensions).find((each) => each && TERM_NAMES[each.kind] === name);
    return extension ? describeExtension(extension) : `the term '${name}'`;
  });
  return `; not finite are the ${what} of ${described.join(' or ')}`;
}
