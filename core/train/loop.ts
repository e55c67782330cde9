import { setImmediate } from 'node:timers/promises';
import { keepEpoch, latestCheckpoint, saveCheckpoint } from '../checkpoint/checkpoint.js';
import type { RunFolder } from '../checkpoint/run-folder.js';
import type { Options } from '../config/schema.js';
import { cropSettings, objectiveOf, ratesAt } from '../config/settings.js';
import { loadBatches, stepsPerEpoch } from '../data/loader.js';
import type { SkippedImages } from '../data/skipped.js';
import type { Engine } from '../engine/contract.js';
import { outOfMemory } from '../engine/memory.js';
import { tf } from '../engine/tf.js';
import { UserError } from '../errors.js';
import type { MaskSettings } from '../masking/blocks.js';
import { masksOfStep } from '../masking/coverage.js';
import type { Ijepa } from '../model/ijepa.js';
import type { ImageCollection } from '../plugin.js';
import type { Console } from '../report/console.js';
import { writeCurves } from '../report/curves.js';
import { openRunLog } from '../report/run-log.js';
import type { StopSignal } from './interrupt.js';
import type { RunLength } from './schedules.js';
import { type StepResult, type TrainBatch, type TrainState, trainStep } from './step.js';
import { judgeSpread, loadWatchImages, measureSpread, type Spread, type WatchMemory } from './watch.js';

/** Everything that a run is made of, ready to go. */
export interface Run {
  options: Options;
  model: Ijepa;
  masks: MaskSettings;
  images: ImageCollection;
  skipped: SkippedImages;
  folder: RunFolder;
  engine: Engine;
  console: Console;
  stop: StopSignal;
}

/** Where a run stands. */
export interface RunPosition {
  state: TrainState;
  watch: WatchMemory | null;
}

export interface LoopResult {
  /** Steps done, over the whole run. */
  steps: number;
  /** The signal that stopped it, or null where it is complete. */
  interrupted: 'SIGINT' | 'SIGTERM' | null;
  firstLoss: number | null;
  lastLoss: number | null;
  firstSpread: Spread | null;
  lastSpread: Spread | null;
  seconds: number;
  imagesPerSecond: number;
  skippedImages: number;
}

/**
 * Trains until the last step or until asked to stop, saving after every epoch and when stopped.
 * @throws UserError where the loss is no longer a number, memory runs out, or the disk is full; what was saved stays
 */
export async function runLoop(run: Run, position: RunPosition): Promise<LoopResult> {
  const { options, model, images, folder, console, stop } = run;
  const { batchSize, seed, epochs, watchEverySteps } = options;
  const epochSteps = stepsPerEpoch(images.length, batchSize);
  const length: RunLength = { stepsPerEpoch: epochSteps, epochs, scheduleStretch: options.scheduleStretch };
  const totalSteps = epochs * epochSteps;
  const firstStep = position.state.step;
  let { state, watch } = position;

  const { pixelLimit } = cropSettings(options);
  const watched = await loadWatchImages(images, options.watchImages, options.imageSize, seed, pixelLimit);
  let spread = watch ? null : await measureSpread(model, state.weights.target, watched);
  if (spread) ({ memory: watch } = judgeSpread(null, spread, 0));

  const step = run.engine.compile(stepFunction(run));
  const settings = { ...cropSettings(options), seed, batchSize, aheadBytes: options.aheadMegabytes * 1e6 };
  const batches = loadBatches(images, settings, run.skipped, firstStep, totalSteps);
  const log = await openRunLog(folder, firstStep);
  const progress = console.progress(totalSteps, epochs, firstStep);
  const losses: number[] = [];
  const started = performance.now();
  try {
    while (state.step < totalSteps && !stop.received) {
      const asked = performance.now();
      const loaded = await batches.next();
      const begun = performance.now();
      const number = state.step + 1;
      const drawn = masksOfStep(run.masks, batchSize, seed, number);
      const rates = ratesAt(number, options, length);
      const values = await takeStep(() => step(state, { images: loaded.value as Float32Array, ...drawn }, rates), run, number);
      tf.dispose(state);
      state = values.state;

      const isWatched = number % watchEverySteps === 0 || number === totalSteps;
      if (isWatched) {
        spread = await measureSpread(model, state.weights.target, watched);
        const judged = judgeSpread(watch, spread, number);
        watch = judged.memory;
        if (judged.message) console.warn(judged.message);
      }
      const epoch = Math.ceil(number / epochSteps);
      const imagesPerSecond = (batchSize * 1000) / (performance.now() - asked);
      losses.push(values.loss);
      log.append({
        epoch,
        step: number,
        loss: values.loss,
        predictionLoss: values.predictionLoss,
        contextPatches: drawn.context.tokens,
        targetPatches: drawn.targets.tokens,
        overlappingContexts: drawn.overlapping,
        ...rates,
        gradientNorm: values.gradientNorm,
        imagesPerSecond: round(imagesPerSecond, 2),
        waitSeconds: round((begun - asked) / 1000, 4),
        skippedImages: run.skipped.count,
        targetDeviation: isWatched && spread ? spread.deviation : null,
        targetRank: isWatched && spread ? spread.rank : null,
      });
      progress.step({ epoch, step: number, loss: values.loss, imagesPerSecond });
      if (number % epochSteps === 0) {
        await saveEpoch(run, { state, watch }, epoch);
        await writeCurves(folder);
      }
      await setImmediate(); // lets signals in, and images that were decoded meanwhile
    }
    if (stop.received && state.step % epochSteps !== 0) await save(run, { state, watch }, Math.ceil(state.step / epochSteps));
  } finally {
    progress.stop();
    log.close();
    await batches.return(undefined);
  }
  const seconds = (performance.now() - started) / 1000;
  const result: LoopResult = {
    steps: state.step,
    interrupted: state.step < totalSteps ? stop.received : null,
    firstLoss: losses[0] ?? null,
    lastLoss: losses.at(-1) ?? null,
    firstSpread: watch?.first ?? null,
    lastSpread: spread,
    seconds: round(seconds, 2),
    imagesPerSecond: round((losses.length * batchSize) / seconds, 2),
    skippedImages: run.skipped.count,
  };
  tf.dispose(state);
  return result;
}

/** The step as a function of what changes from one to the next. */
function stepFunction({ options, model }: Run) {
  const objective = objectiveOf(options);
  const { beta1, beta2, epsilon } = options;
  return (state: TrainState, batch: TrainBatch, rates: ReturnType<typeof ratesAt>): StepResult =>
    trainStep(model, objective, state, batch, rates, { beta1, beta2, epsilon });
}

/** Computes a step and reads its scalars; the new state is the caller's. */
async function takeStep(compute: () => StepResult, { options, folder }: Run, number: number) {
  let result: StepResult;
  try {
    result = compute();
  } catch (error) {
    throw outOfMemory(error, options) ?? error;
  }
  const { state, loss, predictionLoss, gradientNorm } = result;
  const read = await Promise.all([loss, predictionLoss, gradientNorm].map(async (scalar) => (await scalar.data())[0] as number));
  tf.dispose([loss, predictionLoss, gradientNorm]);
  if (!read.every(Number.isFinite)) {
    throw new UserError(`the loss of step ${number} is not a finite number (loss ${read[0]}, gradient norm ${read[2]})`, {
      expected: 'a finite loss',
      remedy: `lower --learning-rate (it is ${options.learningRate}); the last good checkpoint is ${latestCheckpoint(folder.checkpoints)}`,
    });
  }
  const [lossValue, predictionValue, normValue] = read as [number, number, number];
  return { state, loss: lossValue, predictionLoss: predictionValue, gradientNorm: normValue };
}

async function save({ folder, model }: Run, { state, watch }: RunPosition, epoch: number): Promise<void> {
  await saveCheckpoint(folder.checkpoints, state, { epoch, model: model.size, watch });
}

async function saveEpoch(run: Run, position: RunPosition, epoch: number): Promise<void> {
  const { saveEveryEpochs, keepCheckpoints, epochs } = run.options;
  await save(run, position, epoch);
  if (epoch % saveEveryEpochs === 0 || epoch === epochs) await keepEpoch(run.folder.checkpoints, epoch, keepCheckpoints);
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
