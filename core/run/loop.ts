import { setImmediate } from 'node:timers/promises';
import type { Console } from '../base/console.js';
import { reasonOf } from '../base/errors.js';
import { keepEpoch } from '../checkpoint/save.js';
import type { Options } from '../config/schema.js';
import { cropSettings, objectiveOf, ratesAt } from '../config/settings.js';
import { type LoaderSettings, loadBatches, stepsPerEpoch } from '../data/loader.js';
import { isAbort, type SkippedImages } from '../data/skipped.js';
import type { Engine } from '../engine/contract.js';
import { tf } from '../engine/tf.js';
import type { Ijepa } from '../methods/ijepa/model.js';
import type { MaskSettings } from '../methods/masks/blocks.js';
import { masksOfStep } from '../methods/masks/coverage.js';
import { meanPatches } from '../methods/masks/multiblock.js';
import type { ImageCollection } from '../plugin.js';
import type { Chosen } from '../plugins/chosen.js';
import { writeCurves } from '../report/curves.js';
import { prepareTrainStep } from '../train/step.js';
import type { StopSignal, StopSignalName } from './interrupt.js';
import type { RunPosition } from './resume-point.js';
import type { RunFolder } from './run-folder.js';
import { type MonitorColumns, openRunLog } from './run-log.js';
import { RunWatch } from './run-watch.js';
import { CheckpointSaving, isKept } from './saving.js';
import { withAdvice } from './step-advice.js';
import { Waiting } from './waiting.js';
import type { Spread, Verdicts } from './watch-memory.js';

/** Everything that a run is made of, ready to go. */
export interface Run {
  options: Options;
  /** What the options name of what plugins bring. */
  chosen: Chosen;
  model: Ijepa;
  masks: MaskSettings;
  images: ImageCollection;
  skipped: SkippedImages;
  folder: RunFolder;
  engine: Engine;
  console: Console;
  stop: StopSignal;
}

export interface LoopResult {
  /** Steps done, over the whole run. */
  steps: number;
  /** The signal that stopped it, or null where it is complete. */
  interrupted: StopSignalName | null;
  /** Losses of the first and the last step of this session; null where there was none. */
  firstLoss: number | null;
  lastLoss: number | null;
  /** Spread of the target features before the first step of the run, and at the last look. */
  firstSpread: Spread | null;
  lastSpread: Spread | null;
  /** What monitors make of the run, by their names. */
  verdicts: Verdicts;
  seconds: number;
  imagesPerSecond: number;
  skippedImages: number;
}

/** Least milliseconds between two drawings of the curves, and part of the time that drawing may take. */
const CURVES_INTERVAL = 60_000;
const CURVES_SHARE = 0.02;

/**
 * Trains until the last step or until asked to stop, saving now and then, after every epoch and when stopped.
 * @throws UserError where the loss is no longer a number, memory runs out, or the disk is full; what was saved stays
 */
export async function runLoop(run: Run, position: RunPosition): Promise<LoopResult> {
  const { options, chosen, images, folder, console, stop } = run;
  const { batchSize, seed, epochs } = options;
  const epochSteps = stepsPerEpoch(images.length, batchSize);
  const length = { stepsPerEpoch: epochSteps, epochs, scheduleStretch: options.scheduleStretch };
  const totalSteps = epochs * epochSteps;
  const firstStep = position.state.step;
  let { state } = position;

  const { monitors } = chosen;
  const watched = { ...run, totalSteps };
  const watch = await RunWatch.start(watched, monitors, state.weights.target, position.watch, console.warn);
  const plainStep = prepareTrainStep(run.engine, run.model, objectiveOf(options, chosen), options);
  const takeStep = withAdvice(plainStep, chosen, options.learningRate, folder.checkpoints);
  const loading: LoaderSettings = {
    ...cropSettings(options),
    seed,
    batchSize,
    shuffleBuffer: options.shuffleBuffer,
    aheadBytes: options.aheadMegabytes * 1e6,
    decodeThreads: options.decodeThreads,
    signal: stop.aborted,
  };
  const batches = loadBatches(images, loading, run.skipped, firstStep, totalSteps);
  const columns = columnsOf(monitors);
  const { log, missing } = await openRunLog(folder, firstStep, columns);
  if (missing > 0) console.warn(`log.jsonl was damaged: ${missing} of the first ${firstStep} steps are missing in it`);
  if (firstStep > 0 && firstStep % epochSteps === 0) await keepEpochIfDue(run, firstStep / epochSteps);
  const saving = new CheckpointSaving(folder, run.model.size, options, epochSteps, firstStep);
  const waiting = new Waiting(images, options, console.warn);
  const progress = console.progress(totalSteps, epochs, firstStep);
  const started = performance.now();
  let firstLoss: number | null = null;
  let lastLoss: number | null = null;
  let nextCurves = started + CURVES_INTERVAL;
  try {
    while (state.step < totalSteps && !stop.received) {
      const asked = performance.now();
      const pixels = await nextBatch(batches, stop).catch(async (error: unknown) => {
        await saving.finish(state, watch.memory).catch(() => {}); // the first failure is the one to report
        throw error;
      });
      if (!pixels) break;
      const waitSeconds = (performance.now() - asked) / 1000;

      const step = state.step + 1;
      const epoch = Math.ceil(step / epochSteps);
      const { groups, overlapping } = masksOfStep(run.masks, batchSize, seed, step);
      const rates = ratesAt(step, options, length);
      const taken = await takeStep(state, { images: pixels, masks: groups }, rates);
      state = taken.state;
      firstLoss ??= taken.loss;
      lastLoss = taken.loss;

      const isWatched = step % options.watchEverySteps === 0 || step === totalSteps;
      const look = isWatched ? await watch.look(state.weights.target, step, taken.loss) : null;

      const seconds = (performance.now() - asked) / 1000;
      const imagesPerSecond = batchSize / seconds;
      waiting.add(waitSeconds, seconds);
      log.append({
        epoch,
        step,
        loss: taken.loss,
        predictionLoss: taken.predictionLoss,
        contextPatches: meanPatches(groups, 'context'),
        targetPatches: meanPatches(groups, 'targets'),
        overlappingContexts: overlapping,
        ...rates,
        gradientNorm: taken.gradientNorm,
        batchDeviation: taken.targetDeviation,
        imagesPerSecond: round(imagesPerSecond, 2),
        seconds: round(seconds, 4),
        waitSeconds: round(waitSeconds, 4),
        skippedImages: run.skipped.count,
        targetDeviation: look?.spread.deviation ?? null,
        targetRank: look?.spread.rank ?? null,
        ...(columns.length > 0 && { monitors: look?.monitors ?? null }),
      });
      progress.step({ epoch, step, loss: taken.loss, imagesPerSecond });

      if (step % epochSteps === 0) await waiting.advise();
      await saving.afterStep(state, watch.memory);
      if (performance.now() > nextCurves) nextCurves = await drawCurves(run);
      await setImmediate(); // lets signals in, and images that were decoded meanwhile
    }
    await saving.finish(state, watch.memory);
    await waiting.advise();
  } finally {
    progress.stop();
    await saving.close();
    log.close();
    await batches.return(undefined);
  }
  const seconds = (performance.now() - started) / 1000;
  tf.dispose(state);
  return {
    steps: state.step,
    interrupted: state.step < totalSteps ? stop.received : null,
    firstLoss,
    lastLoss,
    firstSpread: watch.memory?.first ?? null,
    lastSpread: watch.latest,
    verdicts: watch.memory?.verdicts ?? {},
    seconds: round(seconds, 2),
    imagesPerSecond: round(((state.step - firstStep) * batchSize) / seconds, 2),
    skippedImages: run.skipped.count,
  };
}

/** The monitors that have values, for the log. */
function columnsOf(monitors: Chosen['monitors']): MonitorColumns[] {
  return monitors.map(({ item }) => item).filter(({ values }) => values.length > 0);
}

/** The images of the next step; null where the run is asked to stop while they are waited for. */
async function nextBatch(batches: AsyncGenerator<Float32Array>, stop: StopSignal): Promise<Float32Array | null> {
  try {
    return (await batches.next()).value;
  } catch (error) {
    if (stop.received && isAbort(error)) return null;
    throw error;
  }
}

/** Keeps the checkpoint of an epoch that a run goes on after, where it was killed before it could do so. */
async function keepEpochIfDue({ options, folder }: Run, epoch: number): Promise<void> {
  if (isKept(epoch, options)) await keepEpoch(folder.checkpoints, epoch, options.keepCheckpoints);
}

/**
 * Draws the curves of a run so far. They are not worth a run: where they cannot be drawn, a line says so.
 * @returns when they may be drawn again, by `performance.now`
 */
export async function drawCurves({ folder, console }: Pick<Run, 'folder' | 'console'>): Promise<number> {
  const started = performance.now();
  await writeCurves(folder).catch((error: unknown) => console.warn(`curves.png was not drawn: ${reasonOf(error)}`));
  const now = performance.now();
  return now + Math.max(CURVES_INTERVAL, (now - started) / CURVES_SHARE);
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
