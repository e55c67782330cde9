import { existsSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import type { Console } from '../base/console.js';
import { mapValues } from '../base/map-values.js';
import { round } from '../base/rounding.js';
import { keepEpoch, latestCheckpoint } from '../checkpoint/folder.js';
import { microBatchSizeOf, ratesAt } from '../config/settings.js';
import type { ImageCollection } from '../contract/data-sets.js';
import { cropSettings } from '../data/crop.js';
import { type LoaderSettings, loadBatches, stepsPerEpoch } from '../data/loader.js';
import { isAbort, type SkippedImages } from '../data/skipped.js';
import type { Engine } from '../engine/contract.js';
import { tf } from '../engine/tf.js';
import { drawBatch, meanPatches, viewSides } from '../methods/batch.js';
import type { BatchDraw, MethodDefinition } from '../methods/method.js';
import type { Backbone } from '../nn/backbone.js';
import { stepOperations } from '../nn/cost.js';
import type { SelectedPlugins } from '../plugins/plugin.js';
import type { TrainState } from '../train/state.js';
import { prepareStep } from '../train/step.js';
import type { ResumePoint, Trained } from './begin.js';
import { CURVES_INTERVAL, writeCurves } from './curves.js';
import type { StopSignal } from './interrupt.js';
import type { Tracking } from './mlflow.js';
import type { RunEvents } from './run-events.js';
import type { RunFolder } from './run-folder.js';
import { type LogRow, openRunLog } from './run-log.js';
import { CheckpointSaving, isKept } from './saving.js';
import { withAdvice } from './step-advice.js';
import { Waiting } from './waiting.js';
import { startWatch } from './watch.js';

/** Everything that a run is made of, ready to go. */
export interface Run extends Trained, SelectedPlugins {
  definition: MethodDefinition;
  backbone: Backbone;
  images: ImageCollection;
  skipped: SkippedImages;
  folder: RunFolder;
  /** What TensorBoard reads; null where that is not wanted, or nothing is left to do. */
  events: RunEvents | null;
  engine: Engine;
  console: Console;
  stop: StopSignal;
  /** A server that is told of every step; null where none was named. */
  tracking: Tracking | null;
}

/**
 * Trains until the last step or until asked to stop, saving now and then, after every epoch and when stopped.
 * @throws UserError where the loss is NaN, memory runs out, or the disk is full; what was saved stays
 */
export async function runLoop(run: Run, start: ResumePoint) {
  const { options, definition, method, images, folder, events, console, stop } = run;
  const { batchSize, seed, epochs } = options;
  const epochSteps = stepsPerEpoch(images.length, batchSize);
  const length = { stepsPerEpoch: epochSteps, epochs, scheduleStretch: options.scheduleStretch };
  const totalSteps = epochs * epochSteps;
  const firstStep = start.state.step;
  let { state } = start;

  const [judged] = Object.values(method.encoders); // the one that is judged downstream is watched
  const encoder = ({ networks }: TrainState) => networks[judged];
  const watch = await startWatch(run, totalSteps, encoder(state), start.watch);
  const prepared = prepareStep(run.engine, method, run.optimiser, {
    sides: viewSides(method, options.imageSize),
    microBatchSize: microBatchSizeOf(options),
    recompute: options.recompute,
    seed,
  });
  const takeStep = withAdvice(prepared, run.extensions, options, folder.checkpoints);
  const loading: LoaderSettings = {
    ...options,
    ...cropSettings(options),
    views: method.views,
    aheadBytes: options.aheadMegabytes * 1e6,
    signal: stop.aborted,
  };
  const batches = loadBatches(images, loading, run.skipped, firstStep, totalSteps);
  const monitors = run.monitors.map(({ item }) => item).filter(({ values }) => values.length > 0);
  const first = drawBatch(method, seed, 1, batchSize); // every step draws numbers of the same names
  const columns = {
    terms: method.terms.map(({ name }) => name),
    method: [...Object.keys(numbersOf(first, meanPatches(first.groups))), ...method.logs.map(({ name }) => name)],
    rates: ['learningRate', 'weightDecay', ...Object.keys(method.rates)],
  };
  const { log, missing } = await openRunLog(folder, firstStep, columns, monitors, options.resumeOptimizer);
  if (missing > 0) console.warn(`log.jsonl was damaged: ${missing} of the first ${firstStep} steps are missing in it`);
  const doneEpochs = firstStep / epochSteps; // a run that was killed may not have kept the last one's
  const isSaved = existsSync(latestCheckpoint(folder.checkpoints)); // not by a run that goes on with another one
  if (isSaved && doneEpochs > 0 && Number.isInteger(doneEpochs) && isKept(doneEpochs, options)) {
    await keepEpoch(folder.checkpoints, doneEpochs, options.keepCheckpoints);
  }
  const saving = new CheckpointSaving(folder, run.model, run.engine, options, epochSteps, firstStep);
  const waiting = new Waiting(images, options, console.warn);
  const progress = console.progress(totalSteps, epochs, firstStep);
  const started = performance.now();
  let firstLoss: number | null = null;
  let lastLoss: number | null = null;
  let nextCurves = started + CURVES_INTERVAL;
  try {
    while (state.step < totalSteps && !stop.received) {
      const asked = performance.now();
      const next = await batches.next().catch(async (error: unknown) => {
        if (stop.received && isAbort(error)) return null; // it is asked to stop while they are waited for
        await saving.finish(state, watch.memory).catch(() => {}); // the first failure is the one to report
        throw error;
      });
      if (!next) break;
      const waitSeconds = (performance.now() - asked) / 1000;

      const step = state.step + 1;
      const epoch = Math.ceil(step / epochSteps);
      const drawn = drawBatch(method, seed, step, batchSize);
      const patches = meanPatches(drawn.groups);
      const rates = { ...ratesAt(step, options, length), ...mapValues(method.rates, (rate) => rate(step, length)) };
      const taken = await takeStep(state, { views: next.value, groups: drawn.groups }, rates);
      state = taken.state;
      firstLoss ??= taken.loss;
      lastLoss = taken.loss;

      const isWatched = step % options.watchEverySteps === 0 || step === totalSteps;
      const observed = isWatched ? await watch.observe(encoder(state), step, taken.loss) : null;

      const seconds = (performance.now() - asked) / 1000;
      const imagesPerSecond = batchSize / seconds;
      waiting.add(waitSeconds, seconds);
      const row: LogRow = {
        epoch,
        step,
        loss: taken.loss,
        terms: taken.terms,
        method: { ...numbersOf(drawn, patches), ...taken.logs },
        rates,
        gradientNorm: taken.gradientNorm,
        operations: batchSize * stepOperations(definition.passes(options, patches)),
        imagesPerSecond: round(imagesPerSecond, 2),
        seconds: round(seconds, 4),
        waitSeconds: round(waitSeconds, 4),
        skippedImages: run.skipped.count,
        featureStd: observed?.spread.std ?? null,
        featureRank: observed?.spread.rank ?? null,
        ...(monitors.length > 0 && { monitors: observed?.monitors ?? null }),
      };
      log.append(row);
      run.tracking?.add(row);
      events?.addStep(row);
      progress.step({ epoch, step, loss: taken.loss, imagesPerSecond });

      if (step % epochSteps === 0) await waiting.advise();
      await saving.afterStep(state, watch.memory);
      if (performance.now() > nextCurves) nextCurves = await writeCurves(folder, console, events);
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
    /** Steps done, over the whole run. */
    steps: state.step,
    /** The signal that stopped it, or null where it is complete. */
    interrupted: state.step < totalSteps ? stop.received : null,
    /** Losses of the first and the last step of this session; null where there was none. */
    firstLoss,
    lastLoss,
    /** Spread of the target features before the first step of the run, and at the last observation. */
    firstSpread: watch.memory.first,
    lastSpread: watch.latest,
    /** What monitors make of the run, by their names. */
    verdicts: watch.memory.verdicts,
    seconds: round(seconds, 2),
    imagesPerSecond: round(((state.step - firstStep) * batchSize) / seconds, 2),
    skippedImages: run.skipped.count,
  };
}

/** What is logged of a draw: 'contextPatches' of the mask `context`, and what the method adds. */
function numbersOf({ logs }: BatchDraw, patches: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  const kept = Object.entries(patches).map(([name, count]) => [`${name}Patches`, count]);
  return { ...Object.fromEntries(kept), ...logs };
}
