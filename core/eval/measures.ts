import { hash } from 'node:crypto';
import { RandomStream } from '../base/random.js';
import type { LabelledData } from '../contract/data-sets.js';
import type { Engine } from '../engine/contract.js';
import { accuracies, meanAccuracy, percentWithin } from './accuracy.js';
import { trainAttentive } from './attentive.js';
import { attentiveProtocol } from './attentive-settings.js';
import { type ExtractOptions, extractFeatures, type FeatureTable } from './features.js';
import { type FewLabels, fewLabelAccuracies } from './few-labels.js';
import { centredSpectrum, lidar, rankMe } from './geometry.js';
import { type HeadTask, selectHead } from './heads.js';
import { pickImages } from './labelled-data.js';
import { type FeatureNetwork, transformerSize } from './network.js';
import type { EvaluationProgress } from './progress.js';
import type { EvaluationResult } from './results.js';
import { featureColumns, pickSamples, type Samples } from './samples.js';
import { segmentationProbe } from './segmentation.js';
import type { MaskedData } from './segmentation-data.js';
import { storeTokens, type TokenStore } from './token-store.js';

/** What is measured only where it is asked for. */
export interface Measures {
  fewLabels: FewLabels | null;
  /** Random crops of an image for LiDAR; 0: none is computed. */
  lidarViews: number;
  /** Seeds with which the heads are trained and chosen. */
  seeds: number;
  /** Whether a probe with attention is trained on patch tokens. */
  attentive: boolean;
  /** Pictures whose pixels have classes, for a linear segmentation. */
  segmentation: MaskedData | null;
}

/** What is always measured. */
export const NO_MEASURES: Measures = { fewLabels: null, lidarViews: 0, seeds: 1, attentive: false, segmentation: null };

type Measured = Pick<EvaluationResult, 'geometry' | 'fewLabels' | 'overSeeds' | 'attentive' | 'segmentation'>;

/** Training images whose spectrum is looked at: a decomposition takes their number times the squared width. */
const SPECTRUM_IMAGES = 512;
/** As in the paper of LiDAR. */
const LIDAR_IMAGES = 1000;

/** What there is to measure on: heads with the choice that was made, training samples in their test views. */
export interface Measurable {
  network: FeatureNetwork;
  data: LabelledData;
  heads: HeadTask;
  /** Of which kind the attentive probe's is, too. */
  protocolName: EvaluationResult['protocolName'];
  selection: Parameters<typeof selectHead>[2];
  /** Ranks of the chosen head of the first seed. */
  ranks: Int32Array;
  /** Rank 0 computes LiDAR's views and tokens alone. */
  extraction: Omit<ExtractOptions, 'views' | 'ranks'>;
}

/** @throws UserError where what is asked for needs patches, and the network has none */
export function requireMeasurable(network: FeatureNetwork, { attentive, segmentation }: Measures): void {
  if (attentive) transformerSize(network, 'an attentive probe');
  if (segmentation) transformerSize(network, 'linear segmentation');
}

/**
 * Geometry of the features of random training images; and where they are asked for, few labels, LiDAR, several seeds, an
 * attentive probe and linear segmentation.
 */
export async function measure(
  engine: Engine,
  { network, data, heads, protocolName, selection, ranks, extraction }: Measurable,
  { fewLabels, lidarViews, seeds, attentive, segmentation }: Measures,
  { stage: say, epoch: onEpoch }: Pick<EvaluationProgress, 'stage' | 'epoch'>,
): Promise<Measured> {
  const { test, classes, seed, signal } = heads;
  const { plain } = selection;
  const measured: Measured = { geometry: { ...spectrumOf(plain, seed), lidar: null } };
  if (fewLabels !== null) {
    say('logistic regression with few labels');
    measured.fewLabels = await fewLabelAccuracies(engine, plain, test, classes, fewLabels, seed, signal);
  }
  if (seeds > 1) {
    const values = [percentWithin(ranks, 1)];
    for (let other = 1; other < seeds; other++) {
      say(`linear heads with seed ${seed + other}`);
      const { best } = await selectHead(engine, { ...heads, seed: seed + other }, selection);
      values.push(percentWithin(best.ranks, 1));
    }
    measured.overSeeds = meanAccuracy(values, test.rows);
  }
  if (lidarViews > 0 && measured.geometry) {
    say(`features of ${lidarViews} views of each image, for LiDAR`);
    const chosen = someOf(data.train.length, LIDAR_IMAGES, seed);
    const images = pickImages(data.train, [...chosen], `chosen with seed ${seed}`);
    const table = await extractFeatures(engine, network, images, { ...extraction, views: lidarViews });
    measured.geometry.lidar = lidarOf(table, lidarViews);
  }
  if (attentive) {
    say('patch tokens of the training images, then of the test images');
    const settings = attentiveProtocol(protocolName, data.train.length);
    const size = transformerSize(network, 'an attentive probe');
    const stores: TokenStore[] = [];
    try {
      for (const images of [data.train, data.test])
        stores.push(await storeTokens(engine, network, images, { ...extraction, views: 'test' }));
      const [train, test] = stores;
      say('attentive probe');
      const task = { train, test, classes };
      const found = await trainAttentive(engine, size, task, settings, { seed, onEpoch, signal });
      measured.attentive = { ...accuracies(found.ranks), curve: found.curve, settings };
    } finally {
      for (const store of stores) await store.close();
    }
  }
  if (segmentation) measured.segmentation = await segmentationProbe(engine, network, segmentation, extraction, say);
  return measured;
}

function spectrumOf(samples: Samples, seed: number) {
  const some = pickSamples(samples, someOf(samples.rows, SPECTRUM_IMAGES, seed));
  const features = featureColumns(some, 'last');
  return { images: some.rows, rankMe: rankMe(features, some.rows), ...centredSpectrum(features, some.rows) };
}

function lidarOf(table: FeatureTable, views: number) {
  return { images: table.rows / views, views, value: lidar(featureColumns(table, 'last'), views, table.width) };
}

/** Some numbers out of so many, the same in every call, in order. */
function someOf(all: number, wanted: number, seed: number): Uint32Array {
  return new RandomStream(seed, 'geometry').permutation(all).slice(0, wanted).sort();
}

/** Classes that were named, by the names of the test images. */
export function predictionsOf(
  { names, labels }: FeatureTable,
  named: { head: Int32Array; logistic: Int32Array; neighbours: Int32Array | null },
): NonNullable<EvaluationResult['predictions']> {
  const { head, logistic, neighbours } = named;
  return {
    images: hash('sha256', names.join('\n')),
    labels: labels.join(' '),
    head: head.join(' '),
    logistic: logistic.join(' '),
    neighbours: neighbours?.join(' ') ?? null,
  };
}
