import { accuracies } from '../core/eval/accuracy.js';
import type { EvaluationTask } from '../core/eval/evaluate.js';
import { fineTune } from '../core/eval/fine-tune.js';
import { fineTuneSettings } from '../core/eval/fine-tune-protocols.js';
import { checkFineTuning } from '../core/eval/fine-tune-settings.js';
import type { FeatureNetwork } from '../core/eval/network.js';
import { openLabelled, requireTwoClasses } from '../core/eval/open-labelled.js';
import type { EvaluationResult } from '../core/eval/result.js';
import { subsetByFile, subsetByFraction } from '../core/eval/subset.js';
import { fineTuningText } from '../core/report/evaluation-text.js';
import { type Judged, type Refine, runEvaluations } from './evaluation-run.js';
import type { FinetuneOptions } from './options/evaluation.js';
import { configuredDataSets } from './plugins.js';

/** Fine-tunes and probes the encoder of a checkpoint on a part of the labels. */
export async function runFinetune(options: FinetuneOptions): Promise<number> {
  const { checkpoint, seed, trainBatchSize: batchSize, microBatchSize } = options;
  const { epochs, warmupEpochs, learningRate, layerDecay, weightDecay, labelSmoothing, randAugment } = options;
  const learning = { epochs, warmupEpochs, learningRate, batchSize, layerDecay, weightDecay };
  const changes = { ...learning, labelSmoothing, randAugment };
  const tuningOf = ({ protocolName, data }: EvaluationTask, { size }: FeatureNetwork) =>
    fineTuneSettings(protocolName === 'paper' ? 'paper' : 'small', size, data.train.length, changes, seed);
  const refine: Refine = async (result, { engine, network, task, settings: extraction }, progress) => {
    progress.stage('fine-tuning the whole encoder');
    const { protocol, settings } = tuningOf(task, network);
    const how = { ...extraction, transform: task.protocol.transform, microBatchSize, onEpoch: progress.epoch };
    const { ranks, curve } = await fineTune(engine, network, task.data, settings, how);
    return withFineTuning(result, { ...accuracies(ranks), curve, protocol, settings });
  };
  const protocol = (task: EvaluationTask, network: FeatureNetwork) => {
    const { protocol, settings } = tuningOf(task, network);
    checkFineTuning(settings, task.data); // before anything is computed
    return fineTuningText(protocol, settings, task);
  };
  const headOptions = { ...options, protocol: options.protocol === 'small' ? ('quick' as const) : options.protocol };
  return runEvaluations([checkpoint], openPart(options), headOptions, { refine, protocol });
}

async function* openPart({ data: word, subset, fraction, seed }: FinetuneOptions): AsyncGenerator<Judged> {
  const { dataSet, data } = await openLabelled(word, await configuredDataSets());
  const train =
    subset === null
      ? subsetByFraction(data.train, data.classes.length, fraction, seed)
      : await subsetByFile(data.train, subset);
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
