import { existsSync } from 'node:fs';
import type { Console } from '../base/console.js';
import { reasonOf, UserError } from '../base/errors.js';
import { checkOutside } from '../base/folders.js';
import type { FileLock } from '../base/lock.js';
import type { RecordedModel } from '../checkpoint/checkpoint.js';
import { latestCheckpoint } from '../checkpoint/names.js';
import { compareWithRun, newRunRecord, readRunRecord } from '../config/record.js';
import { placeOf, type ResolvedOptions } from '../config/resolve.js';
import type { Options } from '../config/schema.js';
import { learningRateSchedule, microBatchSizeOf } from '../config/settings.js';
import type { DataSet } from '../contract/data-sets.js';
import { keepListing, listingFrom } from '../data/listing/kept.js';
import { requireOneBatch, stepsPerEpoch } from '../data/loader.js';
import { openData } from '../data/open.js';
import { SkippedImages } from '../data/skipped.js';
import { type AtOnce, outOfMemory } from '../engine/memory.js';
import { startEngine } from '../engine/start.js';
import { checkMethodOptions, createMethod } from '../methods/create.js';
import type { Method, MethodDefinition } from '../methods/method.js';
import { createOptimiser } from '../optim/create.js';
import { type Plugin, recordOf, requireRecorded, selectPlugins } from '../plugins/plugin.js';
import { chooseMicroBatchSize, groupSize } from '../train/memory.js';
import { announce } from './announce.js';
import { beginRun, checkNewRun, continueRun, requireSameImages } from './begin.js';
import type { StopSignal } from './interrupt.js';
import { drawCurves, type LoopResult, runLoop } from './loop.js';
import { freshStart, readResumePoint } from './resume-point.js';
import { openRunFolder, runFolder, runLock } from './run-folder.js';
import { endRunState, writeRunState } from './run-state.js';

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
}

/** What a run did, for people and machines. */
export interface PretrainSummary extends LoopResult {
  out: string;
  engine: { name: string; version: string; device: string; threads: number };
  method: string;
  /** What is trained for, in words. */
  objective: string;
  images: number;
  /** What was left out of the data and why. */
  notes: readonly string[];
  totalSteps: number;
  /** The newest checkpoint; null where none was saved yet. */
  checkpoint: string | null;
}

/**
 * Trains a model, from the beginning or from the newest checkpoint of its run folder.
 *
 * Everything that can be wrong with options, data and engine is found before the run folder is made, or an old run in it
 * deleted.
 */
export async function pretrain(request: PretrainRequest): Promise<PretrainSummary> {
  const out = outOf(request);
  const lock = runLock(out);
  try {
    return await pretrainLocked(request, out, lock);
  } finally {
    await lock.release();
  }
}

/** @param lock taken as soon as the folder is there */
async function pretrainLocked(request: PretrainRequest, out: string, lock: FileLock): Promise<PretrainSummary> {
  const { console, resolved } = request;
  const known = async (recorded: readonly string[]) =>
    request.methods(await request.plugins(placeOf(resolved, 'plugins') ? resolved.options.plugins : recorded));
  const record = request.resume ? await readRunRecord((await openRunFolder(out, lock)).config, known) : null;
  if (!record) await checkNewRun(out, request.force, lock, known);
  const definition = record?.method ?? resolved.method;
  const asked = record ? compareWithRun(resolved, record) : resolved.options;
  learningRateSchedule(asked);
  const plugins = await request.plugins(asked.plugins);
  if (record) requireRecorded(record.run.broughtBy, definition, asked, plugins);
  const recordedIn = record ? runFolder(out).config : '';
  const selected = selectPlugins(definition, asked, plugins, (name) => placeOf(resolved, name) || recordedIn);
  checkMethodOptions(definition, asked);
  const dataSets = plugins.flatMap((plugin) => plugin.dataSets ?? []);
  requireOutside(out, resolved.options.data, dataSets);
  const { listing } = runFolder(out);
  const images = await openData(asked.data, dataSets, listingFrom(record ? listing : null, console.line));
  if (record) requireSameImages(images, record, out);
  requireOneBatch(images, asked.batchSize);
  const { device, threads } = asked;
  const engine = await startEngine(asked.engine, { device, ...(threads !== null && { threads }) });
  const { method, backbone } = createMethod(definition, asked, selected.extensions);
  await method.check?.();
  const microBatchSize =
    asked.microBatchSize ?? record?.run.microBatchSize ?? chooseMicroBatchSize(definition, method, asked, engine);
  const options: Options = { ...asked, microBatchSize: Math.min(microBatchSize, asked.batchSize) };

  const newRecord = () =>
    newRunRecord(definition, asked, microBatchSizeOf(options), engine, images, recordOf(selected));
  const folder = record
    ? await continueRun(out, asked, record, selected)
    : await beginRun(out, request.force, newRecord(), images, lock, method);
  await keepListing(images, listing);
  const skipped = new SkippedImages(folder.skipped, images.length, options.maxUnreadable);
  const totalSteps = options.epochs * stepsPerEpoch(images.length, options.batchSize);
  const optimiser = createOptimiser(engine, options);
  const model = recordedModel(definition, method, options);
  const trained = { method, optimiser, model, seed: options.seed };
  const start = record ? await readResumePoint(folder, trained, console) : freshStart(trained);
  const verdicts = start.watch?.verdicts ?? {};
  await writeRunState(folder.state, { state: 'running', reason: null, savedStep: start.state.step, verdicts });
  try {
    announce(console, options, { definition, method, images, engine, totalSteps, firstStep: start.state.step });
    const { monitors, extensions } = selected;
    const result = await runLoop(
      {
        ...request,
        options,
        definition,
        method,
        backbone,
        optimiser,
        model,
        monitors,
        extensions,
        images,
        skipped,
        folder,
        engine,
      },
      start,
    );
    method.dispose();
    const { interrupted } = result;
    await endRunState(folder.state, interrupted ? 'interrupted' : 'done', interrupted, result.verdicts);
    const { name, version, device, threads } = engine;
    const checkpoint = latestCheckpoint(folder.checkpoints);
    return {
      ...result,
      out,
      engine: { name, version, device, threads },
      method: definition.title,
      objective: definition.describe(options),
      images: images.length,
      notes: images.notes ?? [],
      totalSteps,
      checkpoint: existsSync(checkpoint) ? checkpoint : null,
    };
  } catch (thrown) {
    const error = outOfMemory(thrown, atOnce(options, method)) ?? thrown;
    await endRunState(folder.state, 'failed', reasonOf(error)).catch(() => {}); // the disk may be what failed
    throw error;
  } finally {
    await drawCurves({ folder, console });
  }
}

/** What checkpoints say of the model. */
function recordedModel({ title }: MethodDefinition, { encoders, sizes }: Method, options: Options): RecordedModel {
  const { imageSize, patchSize } = options;
  return { method: title, encoders, imageSize, patchSize, sizes };
}

function atOnce(options: Options, method: Method): AtOnce {
  const otherwise = 'a smaller --arch, a smaller --image-size or a larger --patch-size';
  const images = Math.min(microBatchSizeOf(options), groupSize(method, options.batchSize));
  return { images, flag: '--micro-batch-size', otherwise };
}

/** The folder of the run. */
function outOf({ resolved }: PretrainRequest): string {
  const { out } = resolved.options;
  if (out === null) {
    throw new UserError('no folder for the run was named', {
      expected: '--out DIR',
      remedy: 'add --out runs/first, for example',
    });
  }
  return out;
}

/** The run's folder must lie outside the folders of pictures. */
function requireOutside(out: string, data: readonly string[], dataSets: readonly DataSet[]): void {
  const names = dataSets.map(({ name }) => name);
  checkOutside(out, data, names);
}
