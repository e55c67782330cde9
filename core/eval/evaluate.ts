import { programVersion } from '../base/program.js';
import type { LabelledData } from '../contract/data-sets.js';
import type { Engine } from '../engine/contract.js';
import { accuracies, confusionOf } from './accuracy.js';
import { type ClassifierResult, classify } from './classifiers.js';
import { type ExtractOptions, extractFeatures } from './features.js';
import { selectHead } from './heads.js';
import type { HelpingRanks } from './helping-ranks.js';
import { ridgeHead } from './linear.js';
import type { LinearHead } from './linear-head.js';
import { type Measures, measure, NO_MEASURES, predictionsOf, requireMeasurable } from './measures.js';
import type { PixelNeighbours } from './neighbours.js';
import type { FeatureNetwork } from './network.js';
import { poolingOf } from './pooling.js';
import type { EvaluationProgress } from './progress.js';
import { USUAL_VOTING, type Voting } from './protocols.js';
import { type EvaluationResult, FORMAT } from './results.js';

/** A data set and how networks are judged on it. */
export interface EvaluationTask
  extends Pick<EvaluationResult, 'kind' | 'dataSet' | 'protocolName' | 'protocol' | 'selection' | 'seed'> {
  data: LabelledData;
  /** Random views of each training image that the heads see, one an epoch in turn; 0: its test view in every epoch. */
  views: number;
  /** How nearest neighbours vote; default: as in DINO. */
  voting?: Voting;
  /** What else is measured; default: nothing that takes long. */
  measures?: Measures;
}

/** How images become features. */
export type ExtractionSettings = Omit<ExtractOptions, 'views' | 'transform' | 'interpolation' | 'seed' | 'onProgress'>;

/** The same, with the ranks that help. */
export type EvaluationSettings = ExtractionSettings & { helping: HelpingRanks };

/**
 * Judges a frozen network on a data set: the protocol's grid of linear heads side by side, of which one is chosen;
 * logistic regression, a ridge head and nearest neighbours. Nothing but, where it is asked for, that choice looks at the
 * test images.
 * @returns what was measured, and the chosen head
 * @throws UserError if images cannot be read or the cache cannot be written
 */
export async function evaluateNetwork(
  engine: Engine,
  network: FeatureNetwork,
  task: EvaluationTask,
  settings: EvaluationSettings,
  pixelNeighbours: PixelNeighbours,
  progress: EvaluationProgress,
): Promise<{ result: EvaluationResult; head: LinearHead | undefined }> {
  const { data, protocol, selection, seed, voting = USUAL_VOTING, measures = NO_MEASURES } = task;
  const { helping, ...extraction } = settings;
  requireMeasurable(network, measures);
  const { signal, batchSize, pixelLimit, maxUnreadable = 0 } = extraction;
  const classes = data.classes.length;
  const { transform, interpolation = 'bicubic' } = protocol;
  const extract = (split: 'train' | 'test', what: string, views: 'test' | number, viewSeed = 0) => {
    progress.stage(what);
    const asked = { views, transform, interpolation, seed: viewSeed };
    const order = { ...asked, split, network: network.facts.fingerprint, batchSize, pixelLimit, maxUnreadable };
    return helping.withHelp(order, () =>
      extractFeatures(engine, network, data[split], { ...extraction, ...asked, onProgress: progress.images }),
    );
  };
  const test = await extract('test', 'features of the test images', 'test');
  const plain = await extract('train', 'features of the training images', 'test');
  let held = { view: -1, samples: plain };
  /** The views in turn, of which only the newest is held. */
  const train = async (epoch: number) => {
    const view = epoch % task.views;
    if (task.views === 0 || held.view === view) return held.samples;
    held = { view: -1, samples: plain }; // makes room before the next one is computed
    const what = `features of view ${view + 1} of ${task.views} of the training images`;
    held = { view, samples: await extract('train', what, 1, seed + view) };
    return held.samples;
  };

  progress.stage('linear heads');
  const heads = { train, test, classes, protocol, seed, onEpoch: progress.epoch, signal };
  const selected = await selectHead(engine, heads, { selection, plain });
  progress.stage('logistic regression, ridge head and nearest neighbours');
  const { logistic, neighbours, predicted } = await classify(engine, plain, test, classes, { voting, signal });
  const { ranks: _, ...own } = extraction;
  const measured = await measure(
    engine,
    {
      ...{ network, data, heads, protocolName: task.protocolName, ranks: selected.best.ranks },
      selection: { selection, plain },
      extraction: { ...own, transform, interpolation, seed, onProgress: progress.images },
    },
    measures,
    progress,
  );
  const { name, version, device, threads } = engine;
  const result: EvaluationResult = {
    format: FORMAT,
    kind: task.kind,
    dataSet: task.dataSet,
    dataDescription: `${data.train.description}; ${data.test.description}`,
    classes,
    trainImages: plain.rows,
    testImages: test.rows,
    network: resultNetwork(network),
    protocolName: task.protocolName,
    protocol,
    selection,
    best: { name: selected.best.name, ...accuracies(selected.best.ranks) },
    confusion: confusionOf(selected.best.predicted, test.labels, data.classes),
    predictions: predictionsOf(test, { head: selected.best.predicted, ...predicted }),
    ...measured,
    heads: selected.heads.map((head) => ({ name: head.name, ...accuracies(head.ranks), curve: head.curve })),
    ridge: accuracies(await ridgeHead(engine, plain, test, classes)),
    logistic,
    neighbours,
    neighbourTemperature: voting.temperature,
    pixelNeighbours,
    fineTuning: null,
    compute: null,
    engine: { name, version, device, threads },
    seed,
    programVersion: programVersion(),
    measuredAt: new Date().toISOString(),
  };
  return { result, head: selected.best.learned };
}

/** What results say of a network. */
export function resultNetwork({ facts, arch, imageSize, size }: FeatureNetwork): EvaluationResult['network'] {
  const { weights, method, epochs, pretrainedOn, checkpoint } = facts;
  const encoder = facts.isUsualEncoder ? null : facts.encoder;
  return { weights, method, encoder, arch, epochs, pretrainedOn, checkpoint, imageSize, pooling: poolingOf(size) };
}

/**
 * Logistic regression and nearest neighbours alone, each image in its test view.
 * @throws UserError if images cannot be read
 */
export async function classifyImages(
  engine: Engine,
  network: FeatureNetwork,
  { classes, train, test }: LabelledData,
  settings: ExtractionSettings & Pick<ExtractOptions, 'transform' | 'interpolation'> & { voting?: Voting | undefined },
  progress: Pick<EvaluationProgress, 'images'>,
): Promise<ClassifierResult> {
  const options = { ...settings, views: 'test' as const, seed: 0, onProgress: progress.images };
  const tested = await extractFeatures(engine, network, test, options);
  const trained = await extractFeatures(engine, network, train, options);
  return classify(engine, trained, tested, classes.length, settings);
}
