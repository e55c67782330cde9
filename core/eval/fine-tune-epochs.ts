import { setImmediate } from 'node:timers/promises';
import { UserError } from '../base/errors.js';
import type { RandomStream } from '../base/random.js';
import type { LabelledImages } from '../contract/data-sets.js';
import { randAugment, readRandAugment } from '../data/augment/rand-augment.js';
import { stepsPerEpoch } from '../data/loader.js';
import type { Picture } from '../data/picture.js';
import type { Engine } from '../engine/contract.js';
import { tf } from '../engine/tf.js';
import type { Parameters } from '../nn/parameters.js';
import { layerRates } from '../optim/layer-rates.js';
import { learningRateAt } from '../optim/schedules.js';
import { type Classifier, initialClassifier } from './classifier.js';
import { type FineTuneSettings, stepRate } from './fine-tune-settings.js';
import { FineTuningNotFinite, initialFineTuneState, prepareFineTuneStep } from './fine-tune-step.js';
import { type BatchSettings, trainingBatches } from './labelled-batches.js';
import type { UnreadableShare } from './unreadable.js';

/** What an epoch has come to. */
export interface FineTunedEpoch {
  /** Counted from 1. */
  epoch: number;
  /** Mean over its steps. */
  loss: number;
  /** Of encoder and head, until the next epoch is asked for. */
  weights: Parameters;
}

/** How the training images are read and computed. */
export interface FineTuneReading extends BatchSettings {
  images: LabelledImages;
  unreadable: UnreadableShare;
  /** Images computed at once. */
  microBatchSize: number;
  onStep?: (step: number, steps: number, loss: number) => void;
  /** Looked at between steps. */
  signal?: AbortSignal;
}

/** Betas and epsilon of PyTorch's AdamW, which MAE fine-tunes with. */
const ADAM = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;

/**
 * Trains copies of an encoder's weights and a fresh head, epoch by epoch.
 * @param encoder stays as it is
 */
export async function* fineTunedEpochs(
  engine: Engine,
  classifier: Classifier,
  encoder: Parameters,
  settings: FineTuneSettings,
  reading: FineTuneReading,
): AsyncGenerator<FineTunedEpoch> {
  const { epochs, seed, weightDecay, layerDecay, labelSmoothing, headDeviation } = settings;
  const { images, batchSize, signal, onStep } = reading;
  const epochSteps = stepsPerEpoch(images.length, batchSize);
  const rateAt = learningRates(settings, batchSize, epochSteps);
  const takeStep = prepareFineTuneStep(engine, classifier, ADAM, {
    microBatchSize: reading.microBatchSize,
    labelSmoothing,
  });
  let state = initialFineTuneState(initialClassifier(classifier, encoder, headDeviation, seed));
  const factors = layerRates(Object.keys(state.weights), classifier.backbone.encoder.depth, layerDecay);
  const augment = readRandAugment(settings.randAugment);
  const change = augment && ((picture: Picture, stream: RandomStream) => randAugment(picture, augment, stream));
  let step = 0;
  let lossSum = 0;
  try {
    for await (const batch of trainingBatches(images, { ...reading, seed, epochs, change }, reading.unreadable)) {
      signal?.throwIfAborted();
      step++;
      if (batch.labels.length > 0) {
        const taken = await takeStep(state, batch, { learningRate: rateAt(step), weightDecay, factors });
        state = taken.state;
        lossSum += taken.loss;
        onStep?.(step, epochs * epochSteps, taken.loss);
      }
      await setImmediate(); // lets signals in, and images that were decoded meanwhile
      if (step % epochSteps === 0) {
        yield { epoch: step / epochSteps, loss: lossSum / epochSteps, weights: state.weights };
        lossSum = 0;
      }
    }
  } catch (error) {
    throw error instanceof FineTuningNotFinite ? adviceOn(error, settings) : error;
  } finally {
    tf.dispose(state);
  }
}

/** The learning rate of a step, counted from 1: linear from 0, then half a cosine (MAE, `lr_sched.py`). */
export function learningRates(
  settings: FineTuneSettings,
  batchSize: number,
  epochSteps: number,
): (step: number) => number {
  const { epochs, warmupEpochs, rateAt } = settings;
  const learningRate = stepRate(settings, batchSize);
  const finalLearningRate = Math.min(learningRate, settings.finalLearningRate);
  const schedule = { startLearningRate: 0, learningRate, finalLearningRate, warmupEpochs };
  const length = { stepsPerEpoch: epochSteps, epochs, scheduleStretch: 1 };
  return (step) => learningRateAt(rateAt === 'beginning' ? step - 1 : step - 0.5, schedule, length);
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
