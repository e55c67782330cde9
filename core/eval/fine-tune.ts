import { setImmediate } from 'node:timers/promises';
import { stepsPerEpoch } from '../data/loader.js';
import type { Engine } from '../engine/contract.js';
import { type Tensor, tf } from '../engine/tf.js';
import { UserError } from '../errors.js';
import type { Parameters } from '../model/parameters.js';
import type { LabelledData } from '../plugin.js';
import { learningRateAt } from '../train/schedules.js';
import { type Classifier, createClassifier, initialClassifier, logitsOf } from './classifier.js';
import { fineTuneMicroBatchSize } from './fine-tune-memory.js';
import { checkFineTuning, type FineTuneSettings, testedEpochs } from './fine-tune-settings.js';
import {
  FineTuningNotFinite,
  initialFineTuneState,
  type LabelledBatch,
  prepareFineTuneStep,
} from './fine-tune-step.js';
import { testBatches, trainingBatches } from './labelled-batches.js';
import { layerRates } from './layer-rates.js';
import type { FeatureNetwork } from './network.js';
import { ranksOf, topOne } from './ranks.js';

export { type FineTuneSettings, PAPER_FINE_TUNING } from './fine-tune-settings.js';

export interface FineTuneOptions {
  transform: 'crop' | 'squash';
  /** Images that are decoded at the same time. */
  workers?: number;
  /** Images of more pixels than this are refused. */
  pixelLimit: number;
  /** Images computed at once; as many as fit into memory where it is not given. */
  microBatchSize?: number;
  onStep?: (step: number, steps: number, loss: number) => void;
  /** @param top1 percent of the test images; null after an epoch that was not tested */
  onEpoch?: (epoch: number, epochs: number, top1: number | null) => void;
  /** Looked at between steps. */
  signal?: AbortSignal;
}

export interface FineTuneResult {
  /** For each test image the rank of the right class, from 0, after the last epoch. */
  ranks: Int32Array;
  /** Top-1 on the test images, percent, and the epochs, counted from 1, after which it was measured. */
  curve: number[];
  curveEpochs: number[];
  /** Mean loss of each epoch. */
  losses: number[];
}

/** Betas and epsilon of PyTorch's AdamW, which MAE fine-tunes with. */
const ADAM = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;
const WORKERS = 16;

/**
 * Trains a copy of the encoder and a linear head on its average-pooled, layer-normed patches: AdamW, cosine with linear
 * warm-up, layer-wise learning rate decay, random crops and flips, softmax cross-entropy (paper, section 5, 1% of the
 * labels; the recipe is MAE's). The result is that of the last epoch, not the best on the test images.
 *
 * The same seed, engine, threads and micro-batch size give the same bits.
 * @throws UserError if an image cannot be read, memory does not suffice, or a step gives no finite numbers
 */
export async function fineTune(
  engine: Engine,
  network: FeatureNetwork,
  data: LabelledData,
  settings: FineTuneSettings,
  options: FineTuneOptions,
): Promise<FineTuneResult> {
  checkFineTuning(settings, data);
  const { epochs, seed, weightDecay } = settings;
  const { signal, workers = WORKERS } = options;
  const batchSize = Math.min(settings.batchSize, data.train.length);
  const together = options.microBatchSize ?? fineTuneMicroBatchSize(engine, network, batchSize);
  const views = { imageSize: network.imageSize, transform: options.transform, pixelLimit: options.pixelLimit, workers };
  const epochSteps = stepsPerEpoch(data.train.length, batchSize);
  const rateAt = learningRates(settings, batchSize, epochSteps);
  const tested = testedEpochs(epochs, data);

  const classifier = createClassifier(network, data.classes.length);
  const takeStep = prepareFineTuneStep(engine, classifier, ADAM, together);
  const test = prepareTest(
    engine,
    classifier,
    (): AsyncGenerator<LabelledBatch> => testBatches(data.test, { ...views, batchSize: together }),
  );
  let state = initialFineTuneState(initialClassifier(classifier, network.encoder, seed));
  const factors = layerRates(Object.keys(state.weights), network.size.depth, settings.layerDecay);
  const result: FineTuneResult = { ranks: new Int32Array(), curve: [], curveEpochs: [], losses: [] };
  let lossSum = 0;
  try {
    for await (const batch of trainingBatches(data.train, { ...views, batchSize, seed, epochs })) {
      signal?.throwIfAborted();
      const rates = { learningRate: rateAt(state.step + 1), weightDecay, factors };
      const taken = await takeStep(state, batch, rates);
      state = taken.state;
      lossSum += taken.loss;
      options.onStep?.(state.step, epochs * epochSteps, taken.loss);
      await setImmediate(); // lets signals in, and images that were decoded meanwhile
      if (state.step % epochSteps !== 0) continue;

      const epoch = state.step / epochSteps;
      result.losses.push(lossSum / epochSteps);
      lossSum = 0;
      if (tested.has(epoch)) {
        result.ranks = await test(state.weights, signal);
        result.curve.push(topOne(result.ranks));
        result.curveEpochs.push(epoch);
      }
      options.onEpoch?.(epoch, epochs, tested.has(epoch) ? topOne(result.ranks) : null);
    }
  } catch (error) {
    throw error instanceof FineTuningNotFinite ? adviceOn(error, settings) : error;
  } finally {
    tf.dispose(state);
    classifier.dispose();
  }
  return result;
}

/**
 * The learning rate of a step, counted from 1: linear from 0, then half a cosine to 0, taken in the middle of the step so
 * that neither the first nor the last step has none. (MAE takes it at the step's beginning, and ends at 1e-6.)
 */
function learningRates(settings: FineTuneSettings, batchSize: number, epochSteps: number): (step: number) => number {
  const { epochs, warmupEpochs, baseLearningRate } = settings;
  const learningRate = (baseLearningRate * batchSize) / 256;
  const schedule = { startLearningRate: 0, learningRate, finalLearningRate: 0, warmupEpochs };
  const length = { stepsPerEpoch: epochSteps, epochs, scheduleStretch: 1 };
  return (step) => learningRateAt(step - 0.5, schedule, length);
}

/** Prepares the ranks of the right classes of all test images. */
function prepareTest(engine: Engine, classifier: Classifier, batches: () => AsyncGenerator<LabelledBatch>) {
  const { imageSize, classes } = classifier;
  const compute = engine.compile((weights: Parameters, images: Tensor) =>
    tf.tidy(() => logitsOf(classifier, weights, images)),
  );
  return async (weights: Parameters, signal: AbortSignal | undefined): Promise<Int32Array> => {
    const ranks: number[] = [];
    for await (const { images, labels } of batches()) {
      signal?.throwIfAborted();
      const pixels = tf.tensor4d(images, [labels.length, imageSize, imageSize, 3]);
      const logits = await compute(weights, pixels); // [b, C]
      ranks.push(...ranksOf((await logits.data()) as Float32Array, labels, classes));
      tf.dispose([pixels, logits]);
      await setImmediate();
    }
    return Int32Array.from(ranks);
  };
}

function adviceOn({ message, loss, weightNorm }: FineTuningNotFinite, settings: FineTuneSettings): UserError {
  const weights = weightNorm === null ? '' : `, norm of the new weights ${weightNorm}`;
  return new UserError(`${message} (loss ${loss}${weights})`, {
    expected: 'a finite loss and finite weights',
    remedy:
      `use a lower learning rate (here ${settings.baseLearningRate} for 256 images) or a longer warm-up ` +
      `(${settings.warmupEpochs} epochs); where the first step fails, the checkpoint itself may be broken`,
  });
}
