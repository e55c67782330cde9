import { programVersion } from '../base/version.js';
import type { Engine } from '../engine/contract.js';
import type { LabelledData, ProbeProtocol } from '../plugin.js';
import { accuracies } from './accuracy.js';
import { type ExtractOptions, extractFeatures, type FeatureTable, featureColumns } from './features.js';
import { selectHead } from './head-selection.js';
import { logisticRegression } from './logistic.js';
import { nearestNeighbours } from './neighbours.js';
import type { FeatureNetwork } from './network.js';
import type { Accuracies, EvaluationKind, EvaluationResult, HeadResult } from './result.js';
import { ridgeHead } from './ridge.js';
import type { Samples } from './samples.js';
import type { Selection } from './selection.js';

/** A data set and how networks are judged on it. */
export interface EvaluationTask {
  kind: EvaluationKind;
  dataSet: string;
  data: LabelledData;
  protocolName: EvaluationResult['protocolName'];
  protocol: ProbeProtocol;
  /**
   * Different random views of each training image that the heads see, one an epoch in turn; 0: its test view in every
   * epoch.
   */
  views: number;
  selection: Selection;
  seed: number;
}

/** How images become features. */
export type ExtractionSettings = Omit<ExtractOptions, 'views' | 'transform' | 'interpolation' | 'seed' | 'onProgress'>;

/** Hears how far an evaluation is. */
export interface EvaluationProgress {
  /** A part begins. */
  stage(what: string): void;
  /** Images that are computed, of all of this part. */
  images(done: number, total: number): void;
  /** The heads have seen all images again; the best is that of the images on which one is chosen. */
  epoch(epoch: number, epochs: number, bestTop1: number): void;
}

/** What the raw pixels of the same images tell, for comparison. */
export type PixelNeighbours = EvaluationResult['pixelNeighbours'];

/** Neighbours that vote (protocol of the field; DINO's weights). */
export const NEIGHBOURS = [10, 20, 100, 200] as const;

/**
 * Judges a frozen network on a data set: the protocol's grid of linear heads side by side, of which one is chosen;
 * logistic regression, a ridge head and nearest neighbours. Nothing but, where it is asked for, that choice looks at the
 * test images.
 * @throws UserError if images cannot be read or the cache cannot be written
 */
export async function evaluateNetwork(
  engine: Engine,
  network: FeatureNetwork,
  task: EvaluationTask,
  settings: ExtractionSettings,
  pixelNeighbours: PixelNeighbours,
  progress: EvaluationProgress,
): Promise<EvaluationResult> {
  const { data, protocol, selection, seed } = task;
  const classes = data.classes.length;
  const extract = (split: 'train' | 'test', what: string, views: 'test' | number, viewSeed = 0) => {
    progress.stage(what);
    const { transform, interpolation = 'bicubic' } = protocol;
    const onProgress = progress.images;
    const seen = { views, transform, interpolation, seed: viewSeed };
    return extractFeatures(engine, network, data[split], { ...settings, ...seen, onProgress });
  };
  const test = await extract('test', 'features of the test images', 'test');
  const plain = await extract('train', 'features of the training images', 'test');
  const view = viewsOf(task, plain, (number) =>
    extract('train', `features of view ${number + 1} of ${task.views} of the training images`, 1, seed + number),
  );

  progress.stage('linear heads');
  const onEpoch = progress.epoch;
  const stop = settings.signal && { signal: settings.signal };
  const selected = await selectHead(
    engine,
    { train: view, test, classes, protocol, seed, onEpoch, ...stop },
    { selection, plain },
  );
  const heads = selected.heads.map(({ name, curve, ranks }): HeadResult => ({ name, ...accuracies(ranks), curve }));
  const best = { name: selected.best.name, ...accuracies(selected.best.ranks) };
  progress.stage('logistic regression, ridge head and nearest neighbours');
  const { ranks, ...chosen } = await logisticRegression(engine, plain, test, classes, settings.signal);
  const logistic = { ...accuracies(ranks), ...chosen };
  const ridge = accuracies(await ridgeHead(engine, plain, test, classes));
  const neighbours = await neighbourAccuracies(engine, lastLayer(plain), lastLayer(test), classes);

  const { facts, arch, imageSize } = network;
  const { name, version, device, threads } = engine;
  return {
    format: 'ijepa-evaluation-1',
    kind: task.kind,
    dataSet: task.dataSet,
    dataDescription: `${data.train.description}; ${data.test.description}`,
    classes,
    trainImages: plain.rows,
    testImages: test.rows,
    network: {
      weights: facts.weights,
      method: facts.method,
      encoder: facts.isUsualEncoder ? null : facts.encoder,
      arch,
      epochs: facts.epochs,
      pretrainedOn: facts.pretrainedOn,
      checkpoint: facts.checkpoint,
      imageSize,
    },
    protocolName: task.protocolName,
    protocol,
    selection,
    best,
    heads,
    ridge,
    logistic,
    neighbours,
    pixelNeighbours,
    fineTuning: null,
    compute: null,
    engine: { name, version, device, threads },
    seed,
    programVersion: programVersion(),
    measuredAt: new Date().toISOString(),
  };
}

/** Accuracies of nearest neighbours by k; a k above the number of training images is left out. */
export async function neighbourAccuracies(
  engine: Engine,
  train: { data: Float32Array; width: number; labels: Int32Array },
  test: { data: Float32Array; width: number; labels: Int32Array },
  classes: number,
): Promise<({ k: number } & Accuracies)[]> {
  const ks = NEIGHBOURS.filter((k) => k <= train.labels.length);
  const ranks = await nearestNeighbours(engine, train, test, classes, ks);
  return [...ranks].map(([k, found]) => ({ k, ...accuracies(found) }));
}

/** Gives the features to train on in an epoch: the views in turn, of which only the newest is held. */
function viewsOf(
  { views }: EvaluationTask,
  plain: FeatureTable,
  extractView: (number: number) => Promise<FeatureTable>,
): (epoch: number) => Promise<Samples> {
  let held: { number: number; table: FeatureTable } | undefined;
  return async (epoch) => {
    if (views === 0) return plain;
    const number = epoch % views;
    if (held?.number !== number) {
      held = undefined; // makes room before the next one is computed
      held = { number, table: await extractView(number) };
    }
    return held.table;
  };
}

function lastLayer(table: FeatureTable): { data: Float32Array; width: number; labels: Int32Array } {
  return { data: featureColumns(table, 'last'), width: table.width, labels: table.labels };
}
