import { accuracies } from '../core/eval/accuracy.js';
import { fineTune, PAPER_FINE_TUNING } from '../core/eval/fine-tune.js';
import { openLabelled } from '../core/eval/open-labelled.js';
import type { EvaluationResult } from '../core/eval/result.js';
import { subsetByFile, subsetByFraction } from '../core/eval/subset.js';
import { fineTuningText } from '../core/report/protocol-text.js';
import { type Judged, type Refine, runEvaluations } from './evaluation-run.js';
import type { FinetuneFlags } from './finetune-1pct.js';
import { numberFrom0, wholeNumber } from './numbers.js';
import { configuredDataSets } from './plugins.js';

/** Fine-tunes and probes the encoder of a checkpoint on a part of the labels. */
export async function runFinetune(checkpoint: string, flags: FinetuneFlags): Promise<number> {
  const seed = wholeNumber('--seed', flags.seed, 0) as number;
  const epochs = wholeNumber('--epochs', flags.epochs, 1) ?? PAPER_FINE_TUNING.epochs;
  const settings = {
    ...PAPER_FINE_TUNING,
    epochs,
    warmupEpochs: Math.min(PAPER_FINE_TUNING.warmupEpochs, epochs - 1),
    batchSize: wholeNumber('--train-batch-size', flags.trainBatchSize, 1) ?? PAPER_FINE_TUNING.batchSize,
    seed,
  };
  const microBatchSize = wholeNumber('--micro-batch-size', flags.microBatchSize, 1);
  const refine: Refine = async (result, { engine, network, task, settings: extraction }, progress) => {
    progress.stage('fine-tuning the whole encoder');
    const { ranks, curve } = await fineTune(engine, network, task.data, settings, {
      transform: task.protocol.transform,
      pixelLimit: extraction.pixelLimit,
      ...(microBatchSize !== null && { microBatchSize }),
      ...(extraction.signal && { signal: extraction.signal }),
    });
    return withFineTuning(result, { ...accuracies(ranks, seed), curve, settings });
  };
  const protocol = fineTuningText(settings);
  return runEvaluations([checkpoint], openPart(flags, seed), flags, { refine, protocol });
}

async function* openPart(flags: FinetuneFlags, seed: number): AsyncGenerator<Judged> {
  const { dataSet, data } = await openLabelled(flags.data, await configuredDataSets());
  const fraction = numberFrom0('--fraction', flags.fraction, 1) as number;
  const train =
    flags.subset === undefined
      ? subsetByFraction(data.train, data.classes.length, fraction, seed)
      : await subsetByFile(data.train, flags.subset);
  yield { dataSet, data: { ...data, train }, kind: 'semi-supervised' };
}

/** The better of probe and fine-tuning is the value of the paper's table. */
function withFineTuning(
  result: EvaluationResult,
  fineTuning: NonNullable<EvaluationResult['fineTuning']>,
): EvaluationResult {
  const { top1, top5 } = fineTuning;
  const best = top1.value > result.best.top1.value ? { name: 'fine-tuning', top1, top5 } : result.best;
  return { ...result, fineTuning, best };
}
