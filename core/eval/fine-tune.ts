import { setImmediate } from 'node:timers/promises';
import { UserError } from '../base/errors.js';
import { mapValues } from '../base/map-values.js';
import { RandomStream } from '../base/random.js';
import type { ImageItem, LabelledData, LabelledImages } from '../contract/data-sets.js';
import { randAugment, readRandAugment } from '../data/augment/random.js';
import { stepsPerEpoch } from '../data/loader.js';
import { toNormalised } from '../data/normalise.js';
import { epochOrders } from '../data/order.js';
import { compileWhole, type Engine } from '../engine/contract.js';
import { type Tensor, tf } from '../engine/tf.js';
import { fineTuning, labelledGroup, logitsOf } from '../methods/fine-tune/method.js';
import type { Method, Networks } from '../methods/method.js';
import type { Backbone } from '../nn/backbone.js';
import { adamw } from '../optim/adamw.js';
import { usableConcurrency } from '../train/gradients.js';
import { estimateStepMemory, fittingImages, memoryBudget } from '../train/memory.js';
import { initialState, type TrainState } from '../train/state.js';
import { NotFinite, prepareStep } from '../train/step.js';
import { percentWithin, ranksOf } from './accuracy.js';
import type { ExtractOptions } from './features.js';
import { checkFineTuning, type FineTuneSettings, learningRates } from './fine-tune-settings.js';
import { type FeatureNetwork, transformerBackbone } from './network.js';
import { equalBatches } from './prepare-features.js';
import { testView, trainView, type UnreadableImage, UnreadableList, type ViewSettings, viewBatches } from './views.js';

export interface FineTuneOptions
  extends Pick<ExtractOptions, 'transform' | 'workers' | 'pixelLimit' | 'maxUnreadable' | 'signal'> {
  /** Images computed at once; default: as many as fit into memory. */
  microBatchSize?: number | null;
  /** Whether blocks are computed once more for their gradients, which takes less memory; default not. */
  recompute?: boolean;
  onStep?: (step: number, steps: number, loss: number) => void;
  /** Called after an epoch that was tested, with the highest top-1 so far, in percent. */
  onEpoch?: ((epoch: number, epochs: number, bestTop1: number) => void) | undefined;
}

/** Betas and epsilon of PyTorch's AdamW, which MAE fine-tunes with. */
const ADAM = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;

/**
 * Trains a copy of the encoder and a linear head on its average-pooled, layer-normed patches: AdamW, cosine with linear
 * warm-up, layer-wise learning rate decay, random crops, flips and RandAugment, softmax cross-entropy of smoothed labels
 * (paper, 1% of the labels; the recipe is MAE's). The result is that of the last epoch, not the best on the test images.
 *
 * The same seed, engine, threads and micro-batch size give the same bits.
 * @returns `ranks`: for each test image that could be read the rank of the right class, from 0, after the last epoch;
 *   `curve`: top-1 on the test images, percent, after each of `testedEpochs`; `unreadable`: training images, then test images
 * @throws UserError if more images than allowed cannot be read, memory does not suffice, or a step gives no finite numbers
 */
export async function fineTune(
  engine: Engine,
  network: FeatureNetwork,
  data: LabelledData,
  settings: FineTuneSettings,
  options: FineTuneOptions,
): Promise<{ ranks: Int32Array; curve: number[]; unreadable: UnreadableImage[] }> {
  checkFineTuning(settings, data);
  const { classes, train, test } = data;
  const { epochs, seed, weightDecay, labelSmoothing } = settings;
  const { transform, pixelLimit, workers, maxUnreadable, signal, recompute = false } = options;
  const backbone = transformerBackbone(network, 'fine-tuning with learning rates of layers');
  const { imageSize } = backbone;
  const views = { imageSize, transform, pixelLimit, workers };
  const unreadable = new UnreadableList(train.length, maxUnreadable);
  const unreadableTests = new UnreadableList(test.length, maxUnreadable);
  const curve: number[] = [];
  let ranks = new Int32Array();
  let state: TrainState | undefined;
  try {
    const batchSize = Math.min(settings.batchSize, train.length);
    const method = fineTuning(backbone, classes.length, settings.layerDecay);
    const microBatchSize =
      options.microBatchSize ?? fineTuneMicroBatchSize(engine, method, backbone, batchSize, recompute);
    const optimiser = adamw(engine, ADAM);
    const sides = { image: imageSize };
    const takeStep = prepareStep(engine, method, optimiser, { sides, microBatchSize, recompute, seed });
    const computeLogits = compileWhole(engine, (networks: Networks, images: Tensor) =>
      tf.tidy(() => logitsOf(backbone, networks, images)),
    );
    const inEqualBatches = equalBatches(imageSize);
    const testRanks = async (networks: Networks) => {
      const viewOf = (item: ImageItem) => testView(item, views);
      const plan = { turns: test.length, viewOf, batchSize: microBatchSize, workers };
      const found: number[] = [];
      for await (const { rgb, labels } of viewBatches(test, plan, unreadableTests)) {
        signal?.throwIfAborted();
        if (labels.length === 0) continue;
        const { input } = inEqualBatches(toNormalised(rgb));
        const logits = await computeLogits(networks, input); // [B, C]
        const own = (await logits.data()).subarray(0, labels.length * classes.length);
        found.push(...ranksOf(own, labels, classes.length));
        tf.dispose([input, logits]);
        await setImmediate();
      }
      return Int32Array.from(found);
    };
    const epochSteps = stepsPerEpoch(train.length, batchSize);
    const rateAt = learningRates(settings, batchSize, epochSteps);
    const tested = testedEpochs(epochs, data);
    const reading = { ...settings, ...views, batchSize };
    state = initialState(method, optimiser.slotNames, seed, startingNetworks(network, classes.length, settings));
    let step = 0;
    for await (const { rgb, labels } of trainingBatches(train, reading, unreadable)) {
      signal?.throwIfAborted();
      step++;
      if (labels.length > 0) {
        const groups = [labelledGroup(labels, classes.length, labelSmoothing)];
        const batch = { views: { image: toNormalised(rgb) }, groups };
        const taken = await takeStep(state, batch, { learningRate: rateAt(step), weightDecay });
        state = taken.state;
        options.onStep?.(step, epochs * epochSteps, taken.loss);
      }
      await setImmediate(); // lets signals in, and images that were decoded meanwhile
      const epoch = step / epochSteps;
      if (!tested.has(epoch)) continue;
      ranks = await testRanks(state.networks);
      curve.push(percentWithin(ranks, 1));
      options.onEpoch?.(epoch, epochs, Math.max(...curve));
    }
  } catch (error) {
    throw error instanceof NotFinite ? adviceOn(error, settings) : error;
  } finally {
    backbone.dispose();
    tf.dispose([state]);
  }
  return { ranks, curve, unreadable: [...unreadable.images, ...unreadableTests.images] };
}

/**
 * The batches of all epochs: every epoch in a random order of its own, each image as a random view; the images after the
 * last whole batch are left to other epochs. The order and each view depend on the seed, the epoch and the position alone.
 */
function trainingBatches(
  images: LabelledImages,
  settings: ViewSettings & FineTuneSettings & { workers: number | undefined },
  unreadable: UnreadableList,
) {
  const { batchSize, imageSize, seed, epochs } = settings;
  const augment = readRandAugment(settings.randAugment);
  const epochImages = stepsPerEpoch(images.length, batchSize) * batchSize;
  const orderOf = epochOrders(seed, images.length);
  const imageAt = (turn: number) => orderOf(Math.floor(turn / epochImages))(turn % epochImages);
  const viewOf = async (item: ImageItem, turn: number) => {
    const at = [Math.floor(turn / epochImages), turn % epochImages];
    const stream = (name: string) => new RandomStream(seed, `fine-tune/${name}`, ...at);
    const rgb = await trainView(item, settings, stream('view'));
    if (!augment) return rgb;
    return randAugment({ rgb, width: imageSize, height: imageSize }, augment, stream('change')).rgb;
  };
  return viewBatches(images, { ...settings, turns: epochs * epochImages, imageAt, viewOf }, unreadable);
}

/** From where fine-tuning starts: a copy of the encoder, and a head of normal weights and no bias. */
function startingNetworks(network: FeatureNetwork, classes: number, { headStd, seed }: FineTuneSettings): Networks {
  const { encoder, size } = network;
  const stream = new RandomStream(seed, 'fine-tune/head');
  const weight = Float32Array.from({ length: classes * size.dim }, () => headStd * stream.normal());
  return {
    encoder: mapValues(encoder, (tensor) => tensor.clone()),
    head: { weight: tf.tensor2d(weight, [classes, size.dim]), bias: tf.zeros([classes]) },
  };
}

/**
 * The epochs, counted from 1, after which the test images are looked at: every one, or every few where testing would take
 * longer than training, of which an image takes three times as long (forward once, backward twice); always the last.
 */
export function testedEpochs(epochs: number, { train, test }: Pick<LabelledData, 'train' | 'test'>): Set<number> {
  const every = Math.max(1, Math.ceil(test.length / (3 * train.length)));
  const all = Array.from({ length: epochs }, (_, at) => at + 1);
  return new Set(all.filter((epoch) => (epochs - epoch) % every === 0));
}

/**
 * How many images of a batch are computed at once: the whole batch, or half of it as often as it takes to fit into the
 * memory of the engine and of the machine. Halves, so that small differences of free memory seldom give other bits.
 * @param recompute whether blocks are computed once more for their gradients
 * @param free bytes of memory that are free
 * @throws UserError if not even one image fits
 */
export function fineTuneMicroBatchSize(
  engine: Pick<Engine, 'name' | 'memory' | 'concurrency'>,
  method: Method<{ logits: Tensor }>,
  { encoder, shapes, patchCount, imageSize }: Backbone,
  batchSize: number,
  recompute: boolean,
  free?: number,
): number {
  const { memory } = engine;
  const networks = { ...method.networks, frozen: { shapes, role: { by: 'fixed' } } } as const;
  const pass = { size: encoder, rows: 1, tokens: patchCount, trained: true, projections: [] };
  const concurrency = usableConcurrency(engine, method);
  const needed = estimateStepMemory(networks, [pass], { kind: memory.kind, concurrency, recompute, isSaved: false });
  needed.fixed += 4 * 3 * batchSize * imageSize * imageSize * 3; // batches: decoded ahead, normalised, on the engine
  const remedy = () =>
    `${recompute ? '' : 'use --recompute, '}free some memory, use another engine, or evaluate with the linear probe alone`;
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
