import { stat } from 'node:fs/promises';
import { explainSystemError } from '../core/base/errors.js';
import type { DataSet, LabelledData, LabelledImages } from '../core/contract/data-sets.js';
import { requireDataSet } from '../core/data/open.js';
import { accuracies } from '../core/eval/accuracy.js';
import type { EvaluationTask } from '../core/eval/evaluate.js';
import { fineTune } from '../core/eval/fine-tune.js';
import { checkFineTuning, fineTuneSettings } from '../core/eval/fine-tune-settings.js';
import { openLabelled, requireTwoClasses, subsetByFile, subsetByFraction } from '../core/eval/labelled-data.js';
import type { FeatureNetwork } from '../core/eval/network.js';
import { openMasked } from '../core/eval/segmentation-data.js';
import { fineTuningText } from '../core/report/evaluation-text.js';
import { gatherJson, requireSame, SharedError } from '../core/train/communicator/ranks.js';
import { type Judged, type Refine, runEvaluations } from './evaluation-run.js';
import type { FinetuneOptions, ProbeOptions, TransferOptions } from './options/evaluation.js';
import { fractionOf, measuresOf, requireShots } from './options/measures.js';
import { configuredDataSets } from './plugins.js';
import { inRanks } from './ranks.js';
import { runSegmentation } from './segmentation-run.js';

/** Judges the encoder of a checkpoint on one data set. */
export async function runProbe(options: ProbeOptions): Promise<number> {
  const measures = measuresOf(options);
  const { data: word } = options;
  if (word === null) return inRanks(options, (ranks) => runSegmentation(ranks, options, measures));
  const open = async (): Promise<Judged> => {
    const opened = await openLabelled(word, await configuredDataSets());
    requireShots(measures, opened.data.train, opened.data.classes);
    const { name, protocol } = opened.dataSet;
    return { ...opened, kind: protocol && name !== 'imagenet' ? 'transfer' : 'linear' };
  };
  return inRanks(options, async (ranks) => {
    const { segmentation: folder, seed, maxMegapixels } = options;
    const segmentation = folder === null ? null : await openMasked(folder, seed, maxMegapixels * 1e6);
    return runEvaluations(ranks, [options.checkpoint], [open], options, { measures: { ...measures, segmentation } });
  });
}

/** Fine-tunes and probes the encoder of a checkpoint on a part of the labels. */
export async function runFinetune(options: FinetuneOptions): Promise<number> {
  const { checkpoint, seed, trainBatchSize: batchSize, microBatchSize, recompute } = options;
  const { epochs, warmupEpochs, learningRate, layerDecay, weightDecay, labelSmoothing, randAugment } = options;
  const learning = { epochs, warmupEpochs, learningRate, batchSize, layerDecay, weightDecay };
  const tuningOf = ({ protocolName, data }: EvaluationTask, { size }: FeatureNetwork) => {
    const name = protocolName === 'paper' ? 'paper' : 'small';
    return fineTuneSettings(name, size, data.train.length, { ...learning, labelSmoothing, randAugment }, seed);
  };
  const refine: Refine = async (result, { engine, network, task, settings: extraction }, progress) => {
    progress.stage('fine-tuning the whole encoder');
    const { protocol, settings } = tuningOf(task, network);
    const computing = { microBatchSize, recompute, onEpoch: progress.epoch };
    const how = { ...extraction, transform: task.protocol.transform, ...computing };
    const { ranks, curve } = await fineTune(engine, network, task.data, settings, how);
    const tuned = accuracies(ranks);
    // The better of probe and fine-tuning is the value of the paper's table.
    const best = tuned.top1.value > result.best.top1.value ? { name: 'fine-tuning', ...tuned } : result.best;
    return { ...result, fineTuning: { ...tuned, curve, protocol, settings }, best };
  };
  const protocol = (task: EvaluationTask, network: FeatureNetwork) => {
    const tuning = tuningOf(task, network);
    checkFineTuning(tuning.settings, task.data); // before anything is computed
    return fineTuningText(tuning, task);
  };
  const headOptions = { ...options, protocol: options.protocol === 'small' ? ('quick' as const) : options.protocol };
  const open =
    (part: (data: LabelledData) => LabelledImages | Promise<LabelledImages>) => async (): Promise<Judged> => {
      const { dataSet, data } = await openLabelled(options.data, await configuredDataSets());
      const train = await part(data);
      requireTwoClasses(train.description, train, data.classes);
      return { dataSet, data: { ...data, train }, kind: 'semi-supervised' };
    };
  const { subset } = options;
  const fractions = new Set(options.fraction.map((word) => fractionOf('--fraction', word)));
  const drawn = [...fractions].map((part) =>
    open(({ train, classes }) => subsetByFraction(train, classes.length, part, seed)),
  );
  const data = subset === null ? drawn : [open(({ train }) => subsetByFile(train, subset))];
  return inRanks(options, (ranks) => runEvaluations(ranks, [checkpoint], data, headOptions, { refine, protocol }));
}

/** Judges encoders on every data set that is found; those that are not are listed with where to get them. */
export async function runTransferEval(options: TransferOptions): Promise<number> {
  const { checkpoints, dataRoot: root, datasets } = options;
  const dataSets = await configuredDataSets();
  return inRanks(options, async (ranks) => {
    const { words, missing } = await findDataSets(root, datasets, dataSets);
    requireSame(ranks, 'data sets', await gatherJson(ranks, words), (found) => found.join(', '));
    for (const { dataSet, page, command } of ranks.rank === 0 ? missing : []) {
      const how = [command && `fetch it with: ${command}`, page && `see ${page}`].filter(Boolean).join(', or ');
      process.stderr.write(`${dataSet} is not below ${root}${how && `: ${how}`}\n`);
    }
    if (words.length === 0) {
      throw new SharedError(`none of the data sets ${datasets.join(', ')} is below ${root}`, {
        expected: 'at least one of them, in the form in which it is published',
        remedy: `npx ijepa data lists what there is, and where to get it`,
      });
    }
    const opened = words.map((word) => async (): Promise<Judged> => {
      return { ...(await openLabelled(word, dataSets)), kind: 'transfer' };
    });
    return runEvaluations(ranks, checkpoints, opened, options, { more: { missing } });
  });
}

/** The data sets that are below a folder, as words that name them, and those that are not, with where to get them. */
async function findDataSets(root: string, names: readonly string[], dataSets: readonly DataSet[]) {
  await stat(root).catch((error: unknown) => {
    throw explainSystemError(error, root);
  });
  const known = dataSets.filter(({ openLabelled, locate }) => openLabelled && locate);
  const words: string[] = [];
  const missing: { dataSet: string; page: string | null; command: string | null }[] = [];
  for (const dataSet of names.map((name) => requireDataSet(name, known))) {
    const { name, origin } = dataSet;
    const place = (await dataSet.locate?.(root)) ?? null;
    if (place !== null) words.push(`${name}:${place}`);
    else {
      const command = origin && origin.files.length > 0 ? `npx ijepa data download ${name} ${root}` : null;
      missing.push({ dataSet: name, page: origin?.page ?? null, command });
    }
  }
  return { words, missing };
}
