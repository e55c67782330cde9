import { existsSync } from 'node:fs';
import type { Console } from '../base/console.js';
import { UserError } from '../base/errors.js';
import type { FileLock } from '../base/lock.js';
import { PROGRAM } from '../base/program.js';
import { loadCheckpoint, type RecordedModel } from '../checkpoint/checkpoint.js';
import { holdsSetAside, latestCheckpoint, recoverCheckpoint } from '../checkpoint/folder.js';
import { type MethodsWith, type RunRecord, readRunRecord, writeRunRecord } from '../config/record.js';
import type { Options } from '../config/schema.js';
import type { ImageCollection } from '../contract/data-sets.js';
import { cropSettings } from '../data/crop.js';
import { cropsOfStep } from '../data/loader.js';
import { SkippedImages } from '../data/skipped.js';
import type { Method } from '../methods/method.js';
import type { Optimiser } from '../optim/optimiser.js';
import { writeMaskPreview } from '../report/mask-preview.js';
import { stateShapes, type TrainState } from '../train/state.js';
import { type ProbeMemory, parseProbeMemory } from './probing.js';
import { checkFolder, createRunFolder, type RunFolder, readRunState, runFolder } from './run-folder.js';
import { parseWatchMemory, type WatchMemory } from './watch.js';

/** Pictures in masks.png. */
const PREVIEWED = 4;

/** Refuses a folder that is not free, or that a run is to be deleted from which is none. */
export async function checkNewRun(out: string, force: boolean, lock: FileLock, methodsWith: MethodsWith) {
  await checkFolder(out, force);
  await lock.check();
  const { config } = runFolder(out);
  if (!existsSync(config)) return;
  await readRunRecord(config, methodsWith).catch((error: unknown) => {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`${out} holds files, but no run that --force could delete: ${error.message}`, {
      expected: `a folder whose config.yaml was written by ${PROGRAM} pretrain`,
      remedy: 'choose another --out, or empty the folder yourself',
    });
  });
}

/** Refuses other images than those of the run. */
export function requireSameImages(images: ImageCollection, { run }: RunRecord, out: string): void {
  if (run.data.fingerprint === images.fingerprint) return;
  throw new UserError(`the images in ${images.description} are not those that the run in ${out} was trained on`, {
    expected: 'the same files, by name and size',
    remedy: 'put them back as they were, name the folder where they are now, or start a new run',
  });
}

/** Makes the folder of a new run, with its record and the masks of the first step on the crops that it learns from. */
export async function beginRun(
  out: string,
  force: boolean,
  record: RunRecord,
  images: ImageCollection,
  lock: FileLock,
  method: Method,
): Promise<void> {
  const { options } = record;
  const unreadable: [name: string, reason: string][] = [];
  const note = { add: (name: string, reason: string) => unreadable.push([name, reason]) };
  const crops = await cropsOfStep(images, { ...options, ...cropSettings(options) }, note, 1, PREVIEWED);
  const folder = await createRunFolder(out, force, lock);
  await writeRunRecord(folder.config, record);
  const skipped = new SkippedImages(folder.skipped, images.length, options.maxUnreadable);
  for (const [name, reason] of unreadable) skipped.add(name, reason);
  await writeMaskPreview(folder.masks, method, options, crops, 1);
}

/** Where a run stands. */
export interface ResumePoint {
  state: TrainState;
  watch: WatchMemory | null;
  probe: ProbeMemory | null;
  /** What the engine remembered. */
  history?: unknown;
}

/** What a run trains. */
export interface Trained {
  method: Method;
  optimiser: Optimiser;
  model: RecordedModel;
  options: Options;
}

/**
 * Where a run stopped: its newest whole checkpoint; null where it was stopped before the first one.
 * @throws UserError if it had checkpoints, but none is whole
 */
export async function readResumePoint(folder: RunFolder, trained: Trained, console: Console) {
  const shapes = stateShapes(trained.method, trained.optimiser.slotNames);
  const load = (path: string) => loadCheckpoint(path, trained.model, shapes);
  const checkpoint = await recoverCheckpoint(folder.checkpoints, load, console.warn);
  if (checkpoint) {
    const { state, memory, history } = checkpoint;
    return { state, watch: parseWatchMemory(memory), probe: parseProbeMemory(memory), history };
  }
  const said = await readRunState(folder.state);
  if (holdsSetAside(folder.checkpoints) || (said && said.savedStep > 0)) {
    throw new UserError(`${latestCheckpoint(folder.checkpoints)} is missing`, {
      expected: 'the newest checkpoint of the run, or an older one',
      remedy: 'put it back, or use --force to delete the run and start anew',
    });
  }
  console.line('the run was stopped before its first checkpoint: it starts from the first step');
  return null;
}
