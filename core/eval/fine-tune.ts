import { setImmediate } from 'node:timers/promises';
import { UserError } from '../base/errors.js';
import { mapValues } from '../base/map-values.js';
import { RandomStream } from '../base/random.js';
import type { LabelledData } from '../contract/data-sets.js';
import { readRandAugment } from '../data/augment/rand-augment.js';
import { stepsPerEpoch } from '../data/loader.js';
import type { Compiled, Engine } from '../engine/contract.js';
import { type Tensor, tf } from '../engine/tf.js';
import { availableCores } from '../engine/threads.js';
import { fineTuning, labelledGroup, logitsOf } from '../methods/fine-tune/method.js';
import type { Method, Networks } from '../methods/method.js';
import type { Backbone } from '../nn/backbone.js';
import { adamw } from '../optim/adamw.js';
import { usableConcurrency } from '../train/gradients.js';
import { estimateStepMemory, fittingImages, memoryBudget } from '../train/memory.js';
import { initialState } from '../train/state.js';
import { NotFinite, prepareStep } from '../train/step.js';
import { percentWithin, ranksOf } from './accuracy.js';
import { checkFineTuning, type FineTuneSettings, learningRates } from './fine-tune-settings.js';
import { type FeatureNetwork, networkBackbone } from './network.js';
import { type UnreadableImage, UnreadableList } from './unreadable.js';
import { type LabelledBatch, testBatches, trainingBatches } from './view-batches.js';

export interface FineTuneOptions {
  transform: 'crop' | 'squash';
  /** Images that are decoded at the same time; default: twice the cores. */
  workers?: number;
  /** Images of more pixels than this cannot be read. */
  pixelLimit: number;
  /** Fraction of the images that may be unreadable, and are left out; default: 0. */
  maxUnreadable?: number;
  /** Images computed at once; default: as many as fit into memory. */
  microBatchSize?: number | null;
  onStep?: (step: number, steps: number, loss: number) => void;
  /** Called after an epoch that was tested, with the highest top-1 so far, in percent. */
  onEpoch?: ((epoch: number, epochs: number, bestTop1: number) => void) | undefined;
  /** Looked at between steps; its reason is thrown. */
  signal?: AbortSignal | undefined;
}

export interface FineTuneResult {
  /** For each test image that could be read the rank of the right class, from 0, after the last epoch. */
  ranks: Int32Array;
  /** Top-1 on the test images, percent, after each of `testedEpochs`. */
  curve: number[];
  /** Training images, then test images. */
  unreadable: UnreadableImage[];
}

/** Betas and epsilon of PyTorch's AdamW, which MAE fine-tunes with. */
const ADAM = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;

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
  const backbone = networkBackbone(network);
  try {
    return await tuneClassifier(engine, network, backbone, data, settings, options);
  } catch (error) {
    throw error instanceof NotFinite ? adviceOn(error, settings) : error;
  } finally {
    backbone.dispose();
  }
}

async function tuneClassifier(
  engine: Engine,
  network: FeatureNetwork,
  backbone: Backbone,
  { classes, train, test }: LabelledData,
  settings: FineTuneSettings,
  options: FineTuneOptions,
): Promise<FineTuneResult> {
  const { epochs, seed, weightDecay, labelSmoothing } = settings;
  const { workers = 2 * availableCores(), maxUnreadable = 0, transform, pixelLimit, signal } = options;
  const { imageSize } = backbone;
  const batchSize = Math.min(settings.batchSize, train.length);
  const method = fineTuning(backbone, classes.length, settings.layerDecay);
  const microBatchSize = options.microBatchSize ?? fineTuneMicroBatchSize(engine, method, backbone, batchSize);
  const views = { imageSize, transform, pixelLimit, workers };
  const missing = {
    train: new UnreadableList(train.length, maxUnreadable),
    test: new UnreadableList(test.length, maxUnreadable),
  };
  const optimiser = adamw(engine, ADAM);
  const takeStep = prepareStep(engine, method, optimiser, { sides: { image: imageSize }, microBatchSize, seed });
  const computeLogits = engine.compile((networks: Networks, images: Tensor) =>
    tf.tidy(() => logitsOf(backbone, networks, images)),
  );
  const epochSteps = stepsPerEpoch(train.length, batchSize);
  const rateAt = learningRates(settings, batchSize, epochSteps);
  const tested = testedEpochs(epochs, { train, test });
  const augment = readRandAugment(settings.randAugment);
  const reading = { ...views, batchSize, seed, epochs, augment };
  let state = initialState(method, optimiser.slotNames, seed, startingNetworks(network, classes.length, settings));
  let ranks = new Int32Array();
  const curve: number[] = [];
  let step = 0;
  try {
    for await (const { images, labels } of trainingBatches(train, reading, missing.train)) {
      signal?.throwIfAborted();
      step++;
      if (labels.length > 0) {
        const groups = [labelledGroup(labels, classes.length, labelSmoothing)];
        const batch = { views: { image: images }, groups };
        const taken = await takeStep(state, batch, { learningRate: rateAt(step), weightDecay });
        state = taken.state;
        options.onStep?.(step, epochs * epochSteps, taken.loss);
      }
      await setImmediate(); // lets signals in, and images that were decoded meanwhile
      const epoch = step / epochSteps;
      if (!tested.has(epoch)) continue;
      const batches = testBatches(test, { ...views, batchSize: microBatchSize }, missing.test);
      ranks = await testRanks(computeLogits, state.networks, batches, backbone, classes.length, signal);
      curve.push(percentWithin(ranks, 1));
      options.onEpoch?.(epoch, epochs, Math.max(...curve));
    }
  } finally {
    tf.dispose(state);
  }
  return { ranks, curve, unreadable: [...missing.train.images, ...missing.test.images] };
}

/** From where fine-tuning starts: a copy of the encoder, and a head of normal weights and no bias. */
function startingNetworks(
  { encoder, size: { dim } }: FeatureNetwork,
  classes: number,
  { headStd, seed }: FineTuneSettings,
): Networks {
  const stream = new RandomStream(seed, 'fine-tune/head');
  const weight = Float32Array.from({ length: classes * dim }, () => headStd * stream.normal());
  return {
    encoder: mapValues(encoder, (tensor) => tensor.clone()),
    head: { weight: tf.tensor2d(weight, [classes, dim]), bias: tf.zeros([classes]) },
  };
}

/** For each image of the batches the rank of the right class, from 0. */
async function testRanks(
  computeLogits: Compiled<[Networks, Tensor], Tensor>,
  networks: Networks,
  batches: AsyncIterable<LabelledBatch>,
  { imageSize }: Backbone,
  classes: number,
  signal: AbortSignal | undefined,
): Promise<Int32Array<ArrayBuffer>> {
  const ranks: number[] = [];
  for await (const { images, labels } of batches) {
    signal?.throwIfAborted();
    if (labels.length === 0) continue;
    const pixels = tf.tensor4d(images, [labels.length, imageSize, imageSize, 3]);
    const logits = await computeLogits(networks, pixels); // [B, C]
    ranks.push(...ranksOf((await logits.data()) as Float32Array, labels, classes));
    tf.dispose([pixels, logits]);
    await setImmediate();
  }
  return Int32Array.from(ranks);
}

/** A step takes about three times as long as looking at a test image: forward once, backward twice. */
const TESTS_PER_STEP = 3;

/**
 * The epochs, counted from 1, after which the test images are looked at: every one, or every few where testing would take
 * longer than training; always the last.
 */
export function testedEpochs(epochs: number, { train, test }: Pick<LabelledData, 'train' | 'test'>): Set<number> {
  const every = Math.max(1, Math.ceil(test.length / (TESTS_PER_STEP * train.length)));
  const all = Array.from({ length: epochs }, (_, at) => at + 1);
  return new Set(all.filter((epoch) => (epochs - epoch) % every === 0));
}

/**
 * How many images of a batch are computed at once: the whole batch, or half of it as often as it takes to fit into the
 * memory of the engine and of the machine. Halves, so that small differences of free memory seldom give other bits.
 * @param free bytes of memory that are free
 * @throws UserError if not even one image fits
 */
export function fineTuneMicroBatchSize(
  engine: Pick<Engine, 'name' | 'memory' | 'concurrency'>,
  method: Method<{ logits: Tensor }>,
  { encoder, shapes, patchCount, imageSize }: Backbone,
  batchSize: number,
  free?: number,
): number {
  const { memory } = engine;
  const networks = { ...method.networks, frozen: { shapes, role: { by: 'fixed' } } } as const;
  const pass = { size: encoder, rows: 1, tokens: patchCount, trained: true, projections: [] };
  const { fixed, perImage } = estimateStepMemory(
    networks,
    [pass],
    memory.kind,
    usableConcurrency(engine, method),
    false,
  );
  const batches = 4 * 3 * batchSize * imageSize * imageSize * 3; // decoded ahead, normalised, on the engine
  const remedy = () => 'free some memory, use another engine, or evaluate with the linear probe alone';
  const needed = { fixed: fixed + batches, perImage };
  const fitting = fittingImages(engine, needed, memoryBudget(memory, null, free), remedy);
  let together = batchSize;
  while (together > fitting) together = Math.ceil(together / 2);
  return together;
}

function adviceOn({ message, numbers: { loss, weightNorm } }: NotFinite, settings: FineTuneSettings): UserError {
  const weights = weightNorm === undefined ? '' : `, norm of the new weights ${weightNorm}`;
  return new UserError(`fine-tuning: ${message} (loss ${loss}${weights})`, {
    expected: 'a finite loss and finite weights',
    remedy:
      `use a lower learning rate (here ${settings.baseLearningRate} for 256 images) or a longer warm-up ` +
      `(${settings.warmupEpochs} epochs); where the first step fails, the checkpoint itself may be broken`,
  });
}
