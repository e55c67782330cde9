import { openLabelled } from '../core/eval/open-labelled.js';
import type { EvaluationFlags } from './evaluation-options.js';
import { type Judged, runEvaluations } from './evaluation-run.js';
import { configuredDataSets } from './plugins.js';

/** Judges the encoder of a checkpoint on one data set. */
export async function runProbe(checkpoint: string, flags: EvaluationFlags & { data: string }): Promise<number> {
  return runEvaluations([checkpoint], openOne(flags.data), flags);
}

async function* openOne(word: string): AsyncGenerator<Judged> {
  const opened = await openLabelled(word, await configuredDataSets());
  const { name, protocol } = opened.dataSet;
  yield { ...opened, kind: protocol && name !== 'imagenet' ? 'transfer' : 'linear' };
}
