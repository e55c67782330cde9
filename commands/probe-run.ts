import { openLabelled } from '../core/eval/labelled-data.js';
import { type Judged, runEvaluations } from './evaluation-run.js';
import type { ProbeOptions } from './options/evaluation.js';
import { configuredDataSets } from './plugins.js';

/** Judges the encoder of a checkpoint on one data set. */
export async function runProbe(options: ProbeOptions): Promise<number> {
  return runEvaluations([options.checkpoint], openOne(options.data), options);
}

async function* openOne(word: string): AsyncGenerator<Judged> {
  const opened = await openLabelled(word, await configuredDataSets());
  const { name, protocol } = opened.dataSet;
  yield { ...opened, kind: protocol && name !== 'imagenet' ? 'transfer' : 'linear' };
}
