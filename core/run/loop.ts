import { existsSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import type { Console } from '../base/console.js';
import { round } from '../base/rounding.js';
import type { RecordedModel } from '../checkpoint/checkpoint.js';
import { keepBest, keepEpoch, latestCheckpoint } from '../checkpoint/folder.js';
import type { SkippedImages } from '../data/skipped.js';
import { tf } from '../engine/tf.js';
import type { OnlineProbe } from '../eval/online-probe.js';
import { drawBatch, meanPatches } from '../methods/batch.js';
import type { BatchDraw } from '../methods/method.js';
import { stepOperations } from '../nn/cost.js';
import { SharedError } from '../train/communicator/ranks.js';
import type { TrainState } from '../train/state.js';
import type { TrainStep } from '../train/step.js';
import type { ResumePoint } from './begin.js';
import { CURVES_INTERVAL, writeCurves } from './curves.js';
import type { StopSignal } from './interrupt.js';
import type { Tracking } from './mlflow.js';
import type { Training } from './prepare.js';
import { startProbing } from './probing.js';
import type { RunEvents } from './run-events.js';
import type { RunFolder } from './run-folder.js';
import { type LogRow, openRunLog } from './run-log.js';
import { CheckpointSaving, isKept } from './saving.js';
import { withAdvice } from './step-advice.js';
import { prepareSteps } from './steps.js';
import { Waiting } from './waiting.js';
import { startWatch } from './watch.js';

/** Everything that a run is made of on rank 0, ready to go. */
export interface Run extends Training {
  model: RecordedModel;
  skipped: SkippedImages;
  /** The labelled images on which it is probed; null where none were named. */
  probe: OnlineProbe | null;
  folder: RunFolder;
  /** What TensorBoard reads; null where that is not wanted, or nothing is left to do. */
  events: RunEvents | null;
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
  const { options, definition, method, images, folder, events, console, stop, skipped } = run;
  const { batchSize, seed, epochs } = options;
  const firstStep = start.state.step;
  let { state } = start;
  const advised = (step: TrainStep) => withAdvice(step, run.extensions, options, folder.checkpoints);
  const steps = prepareSteps(run, stop, firstStep, advised);
  const { epochSteps, totalSteps } = steps;

  const [judged] = Object.values(method.encoders); // the one that is judged downstream is watched
  const encoder = ({ networks }: TrainState) => networks[judged];
  const watch = await startWatch(run, totalSteps, encoder(state), start.watch);
  const probing = await startProbing(run, totalSteps, encoder(state), start.probe);
  const monitors = run.monitors.map(({ item }) => item).filter(({ values }) => values.length > 0);
  const first = drawBatch(method, seed, 1, batchSize); // every step draws numbers of the same names
  const columns = {
    terms: method.terms.map(({ name }) => name),
    method: [...Object.keys(numbersOf(first, meanPatches(first.groups))), ...method.logs.map(({ name }) => name)],
    rates: ['learningRate', 'weightDecay', ...Object.keys(method.rates)],
  };
  const { log, missing } = await openRunLog(folder, firstStep, columns, monitors, {
    beginsLater: options.resumeOptimizer,
    inRanks: run.ranks.size > 1,
    isProbed: probing !== null,
  });
  if (missing > 0) console.warn(`log.jsonl was damaged: ${missing} of the first ${firstStep} steps are missing in it`);
  const doneEpochs = firstStep / epochSteps; // a run that was killed may not have kept the last one's
  const isSaved = existsSync(latestCheckpoint(folder.checkpoints)); // not by a run that goes on with another one
  if (isSaved && doneEpochs > 0 && Number.isInteger(doneEpochs) && isKept(doneEpochs, options)) {
    await keepEpoch(folder.checkpoints, doneEpochs, options.keepCheckpoints);
  }
  if (isSaved && start.probe?.best?.step === firstStep) await keepBest(folder.checkpoints);
  const saving = new CheckpointSaving(folder, run.model, options, epochSteps, firstStep);
  const waiting = new Waiting(images, options, console.warn);
  const progress = console.progress(totalSteps, epochs, firstStep);
  const started = performance.now();
  let firstLoss: number | null = null;
  let lastLoss: number | null = null;
  let nextCurves = started + CURVES_INTERVAL;
  let stopped: StopSignal['received'] = null;
  const save = async () => {
    run.ranks.phase('saving');
    const { state: whole, history, received } = await steps.forSaving(state);
    const memory = { ...watch.memory, ...(probing && { probe: probing.memory }) };
    if (saving.savedStep < state.step) await saving.save(whole, memory, history);
    tf.dispose(received);
  };
  const finish = async () => {
    await save();
    await saving.settle();
  };
  const readImages = async () => {
    const next = state.step + 1;
    const ready = await steps.read(saving.isDueAfter(next, probing?.isDueAfter(next)));
    for (const [name, reason] of ready.unreadable) skipped.add(name, reason);
    return ready;
  };
  try {
    while (state.step < totalSteps) {
      const asked = performance.now();
      const exchanged = run.ranks.traffic.seconds;
      const ready = await readImages().catch(async (error: unknown) => {
        const isShared = run.ranks.size === 1 || error instanceof SharedError;
        if (isShared) await finish().catch(() => {}); // the first failure is the one to report
        throw error;
      });
      if (!ready.batch) {
        stopped = ready.stop;
        break;
      }
      const { waitSeconds } = ready;
      const taken = await steps.take(state, ready.batch);
      state = taken.state;
      firstLoss ??= taken.loss;
      lastLoss = taken.loss;
      const { step } = state;
      const { epoch, patches, drawn, rates } = taken;

      const isWatched = step % options.watchEverySteps === 0 || step === totalSteps;
      const observed = isWatched ? await watch.observe(encoder(state), step, taken.loss) : null;

      const seconds = (performance.now() - asked) / 1000;
      const imagesPerSecond = batchSize / seconds;
      waiting.add(waitSeconds, seconds);
      const probed = await probing?.after(step, encoder(state), seconds);
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
        ...(run.ranks.size > 1 && { exchangeSeconds: round(run.ranks.traffic.seconds - exchanged, 4) }),
        skippedImages: run.skipped.count,
        featureStd: observed?.spread.std ?? null,
        featureRank: observed?.spread.rank ?? null,
        ...(probed && { probe: probed.result, probeSeconds: probed.seconds && round(probed.seconds, 4) }),
        ...(monitors.length > 0 && { monitors: observed?.monitors ?? null }),
      };
      log.append(row);
      run.tracking?.add(row);
      events?.addStep(row);
      progress.step({ epoch, step, loss: taken.loss, imagesPerSecond });

      if (step % epochSteps === 0) await waiting.advise();
      if (ready.isSaved) await save();
      if (performance.now() > nextCurves) nextCurves = await writeCurves(folder, console, events);
      await setImmediate(); // lets signals in, and images that were decoded meanwhile
    }
    await finish();
    await waiting.advise();
  } finally {
    progress.stop();
    await saving.close();
    log.close();
    await steps.close();
  }
  const seconds = (performance.now() - started) / 1000;
  tf.dispose(state);
  return {
    /** Steps done, over the whole run. */
    steps: state.step,
    /** The signal that stopped it, or null where it is complete. */
    interrupted: stopped,
    /** Losses of the first and the last step of this session; null where there was none. */
    firstLoss,
    lastLoss,
    /** Spread of the target features before the first step of the run, and at the last observation. */
    firstSpread: watch.memory.first,
    lastSpread: watch.latest,
    /** What the online probe told before the first step, last, and of the best step; null where none was asked for. */
    probe: probing && { first: probing.memory.first, last: probing.memory.last, best: probing.memory.best },
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
