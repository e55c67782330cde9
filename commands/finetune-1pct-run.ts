import { accuracies } from '../core/eval/accuracy.js';
import type { EvaluationTask } from '../core/eval/evaluate.js';
import { fineTune } from '../core/eval/fine-tune.js';
import { type FineTuneChanges, fineTuneSettings } from '../core/eval/fine-tune-protocols.js';
import { checkFineTuning } from '../core/eval/fine-tune-settings.js';
import type { FeatureNetwork } from '../core/eval/network.js';
import { openLabelled, requireTwoClasses } from '../core/eval/open-labelled.js';
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
  const changes = changesOf(flags);
  const microBatchSize = wholeNumber('--micro-batch-size', flags.microBatchSize, 1);
  const tuningOf = ({ protocolName, data }: EvaluationTask, { size }: FeatureNetwork) =>
    fineTuneSettings(protocolName === 'paper' ? 'paper' : 'small', size, data.train.length, changes, seed);
  const refine: Refine = async (result, { engine, network, task, settings: extraction }, progress) => {
    progress.stage('fine-tuning the whole encoder');
    const { protocol, settings } = tuningOf(task, network);
    const { ranks, curve } = await fineTune(engine, network, task.data, settings, {
      transform: task.protocol.transform,
      pixelLimit: extraction.pixelLimit,
      ...(microBatchSize !== null && { microBatchSize }),
      ...(extraction.signal && { signal: extraction.signal }),
    });
    return withFineTuning(result, { ...accuracies(ranks), curve, protocol, settings });
  };
  const protocol = (task: EvaluationTask, network: FeatureNetwork) => {
    const { protocol, settings } = tuningOf(task, network);
    checkFineTuning(settings, task.data); // before anything is computed
    return fineTuningText(protocol, settings, task);
  };
  const { protocol: name, ...rest } = flags;
  const headFlags = name === undefined ? rest : { ...rest, protocol: name === 'small' ? ('quick' as const) : name };
  return runEvaluations([checkpoint], openPart(flags, seed), headFlags, { refine, protocol });
}

/** What the flags say instead of the protocol; what makes no sense is refused with the data in sight. */
function changesOf(flags: FinetuneFlags): FineTuneChanges {
  return {
    epochs: wholeNumber('--epochs', flags.epochs, 1),
    warmupEpochs: wholeNumber('--warmup-epochs', flags.warmupEpochs, 0),
    learningRate: numberFrom0('--learning-rate', flags.learningRate),
    batchSize: wholeNumber('--train-batch-size', flags.trainBatchSize, 1),
    layerDecay: numberFrom0('--layer-decay', flags.layerDecay, 1),
    weightDecay: numberFrom0('--weight-decay', flags.weightDecay),
    labelSmoothing: numberFrom0('--label-smoothing', flags.labelSmoothing, 1),
    randAugment: flags.randAugment ?? null,
  };
}

async function* openPart(flags: FinetuneFlags, seed: number): AsyncGenerator<Judged> {
  const { dataSet, data } = await openLabelled(flags.data, await configuredDataSets());
  const fraction = numberFrom0('--fraction', flags.fraction, 1) as number;
  const train =
    flags.subset === undefined
      ? subsetByFraction(data.train, data.classes.length, fraction, seed)
      : await subsetByFile(data.train, flags.subset);
  requireTwoClasses(train.description, train, data.classes);
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
