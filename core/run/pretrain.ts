import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import type { Console } from '../base/console.js';
import { reasonOf, UserError } from '../base/errors.js';
import { checkOutside } from '../base/folders.js';
import type { FileLock } from '../base/lock.js';
import { PROGRAM, programVersion } from '../base/program.js';
import { explainProgramFiles } from '../base/program-files.js';
import { latestCheckpoint } from '../checkpoint/folder.js';
import { compareWithRun, readRunRecord, writeRunRecord } from '../config/record.js';
import { placeOf, type ResolvedOptions } from '../config/resolve.js';
import type { Options } from '../config/schema.js';
import { learningRateSchedule, microBatchSizeOf } from '../config/settings.js';
import { keepListing, listingFrom } from '../data/listing/kept.js';
import { stepsPerEpoch } from '../data/loader.js';
import { SkippedImages } from '../data/skipped.js';
import { outOfMemory } from '../engine/memory.js';
import { checkMethodOptions } from '../methods/create.js';
import type { MethodDefinition } from '../methods/method.js';
import { type Plugin, recordOf, requireRecorded, selectPlugins } from '../plugins/plugin.js';
import type { Ranks } from '../train/communicator/ranks.js';
import { groupSize, smallerSteps } from '../train/memory.js';
import { initialState } from '../train/state.js';
import { announce } from './announce.js';
import { beginRun, checkNewRun, type ResumePoint, readResumePoint, requireSameImages } from './begin.js';
import { writeCurves } from './curves.js';
import type { StopSignal } from './interrupt.js';
import { type Run, runLoop } from './loop.js';
import { checkServer, trackRun } from './mlflow.js';
import { prepareTraining } from './prepare.js';
import { openProbe, readProbeOf } from './probing.js';
import { openRunEvents } from './run-events.js';
import { endRunState, openRunFolder, runFolder, runLock, writeRunState } from './run-folder.js';
import { readRunLog } from './run-log.js';
import { shareState, shareTask } from './share.js';

/** What is to be trained, and how the program is to behave about it. */
export interface PretrainRequest {
  resolved: ResolvedOptions<MethodDefinition>;
  /** Go on with the run in the folder. */
  resume: boolean;
  /** Delete the run in the folder first. */
  force: boolean;
  /** The plugins that there are, with some that are named. */
  plugins: (names: readonly string[]) => Promise<readonly Plugin[]>;
  /** The methods that there are with some plugins. */
  methods: (plugins: readonly Plugin[]) => readonly MethodDefinition[];
  console: Console;
  stop: StopSignal;
  ranks: Ranks;
}

/** What a run did, for people and machines. */
export type PretrainSummary = Awaited<ReturnType<typeof pretrain>>;

/**
 * Trains a model, from the beginning or from the newest checkpoint of its run folder.
 *
 * Everything that can be wrong with options, data and engine is found before the run folder is made, or an old run in it
 * deleted.
 */
export async function pretrain(request: PretrainRequest) {
  const { out } = request.resolved.options;
  if (out === null) {
    throw new UserError('no folder for the run was named', {
      expected: '--out DIR',
      remedy: 'add --out runs/first, for example',
    });
  }
  const lock = runLock(out);
  return pretrainLocked(request, out, lock).finally(() => lock.release());
}

/** @param lock taken as soon as the folder is there */
async function pretrainLocked(request: PretrainRequest, out: string, lock: FileLock) {
  const { console, resolved, force, ranks } = request;
  const folder = runFolder(out);
  const known = async (recorded: readonly string[]) =>
    request.methods(await request.plugins(placeOf(resolved, 'plugins') ? resolved.options.plugins : recorded));
  const record = request.resume ? await readRunRecord((await openRunFolder(out, lock)).config, known) : null;
  if (!record) await checkNewRun(out, force, lock, known);
  const definition = record?.method ?? resolved.method;
  const asked = record ? compareWithRun(resolved, record) : resolved.options;
  if (asked.imagesSeen === null) learningRateSchedule(asked); // otherwise when the images are known
  const plugins = await request.plugins(asked.plugins);
  if (record) requireRecorded(record.run.broughtBy, definition, asked, plugins);
  const recordedIn = record ? folder.config : '';
  const selected = selectPlugins(definition, asked, plugins, (name) => placeOf(resolved, name) || recordedIn);
  checkMethodOptions(definition, asked);
  const dataSets = plugins.flatMap((plugin) => plugin.dataSets ?? []);
  const named = [...resolved.options.data, ...(asked.probe === null ? [] : [asked.probe])];
  checkOutside(
    out,
    named,
    dataSets.map(({ name }) => name),
  );
  const probed = await openProbe(asked, dataSets);
  const microBatchSize = record?.run.microBatchSize ?? null;
  await shareTask(ranks, { given: resolved.options, method: definition.name, options: asked, microBatchSize });
  const training = await prepareTraining({
    ...{ definition, options: asked, plugins, selected, ranks, microBatchSize },
    listing: listingFrom(record ? folder.listing : null, console.line),
    check: (images) => record && requireSameImages(images, record, out),
  });
  const { method, images, engine, options, optimiser } = training;
  const { name, version, device, threads } = engine;

  const probe = await readProbeOf(training, probed, request.stop);

  const epochSteps = stepsPerEpoch(images.length, options.batchSize);
  const totalSteps = options.epochs * epochSteps;
  const beginning = async (): Promise<ResumePoint> => {
    const { seed, initFrom, resumeOptimizer } = options;
    const none = { watch: null, probe: null };
    const starts = () => import('./init-from.js'); // it knows every form of weights, and most runs begin with none
    if (resumeOptimizer) {
      const { continuedState } = await starts();
      return { state: await continuedState(initFrom, method, optimiser, options, epochSteps, console), ...none };
    }
    const networks =
      initFrom === null ? undefined : await (await starts()).networksFrom(initFrom, method, options, console);
    return { state: initialState(method, optimiser.slotNames, seed, networks), ...none };
  };
  const fresh = record ? null : await beginning();

  if (options.mlflow !== null) await checkServer(options.mlflow);
  const startedAt = record?.run.started ?? new Date().toISOString();
  const broughtBy = recordOf(selected);
  const { epochs, batchSize } = options; // which imagesSeen may have left to the images
  const recorded = { ...asked, epochs, batchSize };
  if (!record) {
    const run = {
      started: startedAt,
      versions: { [PROGRAM]: programVersion(), node: process.versions.node, engine: version },
      engine: { name, device, threads },
      ranks: ranks.size,
      microBatchSize: microBatchSizeOf(options),
      data: { images: images.length, fingerprint: images.fingerprint },
      broughtBy,
    };
    await beginRun(out, force, { method: definition, options: recorded, run }, images, lock, method);
  } else if (JSON.stringify(recorded) !== JSON.stringify(record.options)) {
    await writeRunRecord(folder.config, { ...record, options: recorded, run: { ...record.run, broughtBy } });
  }
  await keepListing(images, folder.listing);
  const skipped = new SkippedImages(folder.skipped, images.length, options.maxUnreadable);
  const { imageSize, patchSize } = training.backbone;
  const { encoders, sizes } = method;
  const model = { method: definition.title, encoders, imageSize, patchSize, sizes };
  const trained = { ...training, model };
  const saved = fresh ? null : await readResumePoint(folder, trained, console);
  const start = fresh ?? saved ?? (await beginning());
  start.state = await shareState(training, start);
  const tracking = options.mlflow === null ? null : await track(options, String(startedAt), console);
  // What a process that was killed has logged, but not sent.
  if (tracking)
    readRunLog(folder)
      .filter(({ step }) => step <= start.state.step)
      .forEach(tracking.add);
  const firstStep = start.state.step;
  const events =
    options.tensorboard && firstStep < totalSteps
      ? await openRunEvents(folder, firstStep, totalSteps, console.warn)
      : null;
  const run: Run = { ...trained, console, stop: request.stop, skipped, probe, folder, events, tracking };
  const verdicts = start.watch?.verdicts ?? {};
  const begun = { savedStep: saved?.state.step ?? 0, verdicts, probe: start.probe?.best ?? null };
  await writeRunState(folder.state, { state: 'running', reason: null, ...begun });
  try {
    announce(run, totalSteps, firstStep);
    const result = await runLoop(run, start);
    method.dispose();
    const { interrupted } = result;
    await tracking?.end(interrupted ? 'KILLED' : 'FINISHED');
    await endRunState(folder.state, interrupted ? 'interrupted' : 'done', interrupted, result.verdicts);
    const checkpoint = latestCheckpoint(folder.checkpoints);
    return {
      ...result,
      out,
      engine: { name, version, device, threads },
      method: definition.title,
      /** What is trained for, in words. */
      objective: definition.describe(options),
      /** Whether masks.png shows masks, and not crops alone. */
      drawsMasks: Object.keys(method.masks).length > 0,
      images: images.length,
      /** What was left out of the data and why. */
      notes: images.notes ?? [],
      totalSteps,
      /** The newest checkpoint; null where none was saved yet. */
      checkpoint: existsSync(checkpoint) ? checkpoint : null,
    };
  } catch (thrown) {
    const images = Math.min(microBatchSizeOf(options), groupSize(method, options.batchSize));
    const otherwise = smallerSteps(options);
    const error = outOfMemory(thrown, { images, flag: '--micro-batch-size', otherwise }) ?? thrown;
    const reason = reasonOf(explainProgramFiles(error));
    await endRunState(folder.state, 'failed', reason).catch(() => {}); // the disk may be what failed
    await tracking?.end('FAILED');
    throw error;
  } finally {
    await writeCurves(folder, console, events);
    events?.close();
  }
}

/** Begins or goes on with a run on a server of MLflow. */
async function track(options: Options, started: string, console: Console) {
  const { out, mlflow, seed } = options;
  const about = { name: basename(out ?? ''), identity: `${started} ${seed}`, started: Date.parse(started), options };
  const tracking = await trackRun(mlflow ?? '', about, (message) => console.warn(`mlflow     ${message}`));
  console.line(`mlflow     ${tracking.page}`);
  return tracking;
}
