import type { LabelledData } from '../contract/data-sets.js';
import type { Engine } from '../engine/contract.js';
import { availableCores } from '../engine/threads.js';
import { percentWithin } from './accuracy.js';
import { createClassifier } from './classifier.js';
import { prepareRanks } from './classifier-ranks.js';
import { type FineTuneReading, fineTunedEpochs } from './fine-tune-epochs.js';
import { fineTuneMicroBatchSize } from './fine-tune-memory.js';
import { checkFineTuning, type FineTuneSettings, testedEpochs } from './fine-tune-settings.js';
import { testBatches } from './labelled-batches.js';
import type { FeatureNetwork } from './network.js';
import { type UnreadableImage, UnreadableShare } from './unreadable.js';

export type { FineTuneSettings } from './fine-tune-settings.js';

export interface FineTuneOptions {
  transform: 'crop' | 'squash';
  /** Images that are decoded at the same time; default: twice the cores. */
  workers?: number;
  /** Images of more pixels than this cannot be read. */
  pixelLimit: number;
  /** Part of the images that may be unreadable, and are left out; default: 0. */
  maxUnreadable?: number;
  /** Images computed at once; default: as many as fit into memory. */
  microBatchSize?: number;
  onStep?: (step: number, steps: number, loss: number) => void;
  /** @param top1 percent of the test images; null after an epoch that was not tested */
  onEpoch?: (epoch: number, epochs: number, top1: number | null) => void;
  /** Looked at between steps; its reason is thrown. */
  signal?: AbortSignal;
}

export interface FineTuneResult {
  /** For each test image that could be read the rank of the right class, from 0, after the last epoch. */
  ranks: Int32Array;
  /** Top-1 on the test images, percent, and the epochs, counted from 1, after which it was measured. */
  curve: number[];
  curveEpochs: number[];
  /** Mean loss of each epoch. */
  losses: number[];
  microBatchSize: number;
  /** Training images, then test images. */
  unreadable: UnreadableImage[];
}

/**
 * Trains a copy of the encoder and a linear head on its average-pooled, layer-normed patches: AdamW, cosine with linear
 * warm-up, layer-wise learning rate decay, random crops, flips and RandAugment, softmax cross-entropy of smoothed labels
 * (paper, 1% of the labels; the recipe is MAE's). The result is that of the last epoch, not the best on the test images.
 *
 * The same seed, engine, threads and micro-batch size give the same bits.
 * @throws UserError if more images than allowed cannot be read, memory does not suffice, or a step gives no finite numbers
 */
export async function fineTune(
  engine: Engine,
  network: FeatureNetwork,
  data: LabelledData,
  settings: FineTuneSettings,
  options: FineTuneOptions,
): Promise<FineTuneResult> {
  checkFineTuning(settings, data);
  const { train, test } = data;
  const { workers = 2 * availableCores(), maxUnreadable = 0, transform, pixelLimit, onStep, signal } = options;
  const batchSize = Math.min(settings.batchSize, train.length);
  const microBatchSize = options.microBatchSize ?? fineTuneMicroBatchSize(engine, network, batchSize);
  const views = { imageSize: network.imageSize, transform, pixelLimit, workers };
  const unreadable = {
    train: new UnreadableShare(train.length, maxUnreadable),
    test: new UnreadableShare(test.length, maxUnreadable),
  };
  const reading: FineTuneReading = {
    ...views,
    images: train,
    batchSize,
    microBatchSize,
    unreadable: unreadable.train,
    ...(onStep && { onStep }),
    ...(signal && { signal }),
  };
  const classifier = createClassifier(network, data.classes.length);
  const rank = prepareRanks(engine, classifier);
  const tested = testedEpochs(settings.epochs, data);
  const [curve, curveEpochs, losses]: [number[], number[], number[]] = [[], [], []];
  let ranks: Int32Array = new Int32Array();
  try {
    for await (const epoch of fineTunedEpochs(engine, classifier, network.encoder, settings, reading)) {
      losses.push(epoch.loss);
      const isTested = tested.has(epoch.epoch);
      if (isTested) {
        const batches = testBatches(test, { ...views, batchSize: microBatchSize }, unreadable.test);
        ranks = await rank(epoch.weights, batches, signal);
        curve.push(percentWithin(ranks, 1));
        curveEpochs.push(epoch.epoch);
      }
      options.onEpoch?.(epoch.epoch, settings.epochs, isTested ? percentWithin(ranks, 1) : null);
    }
  } finally {
    classifier.dispose();
  }
  const left = [...unreadable.train.images, ...unreadable.test.images];
  return { ranks, curve, curveEpochs, losses, microBatchSize, unreadable: left };
}
