import { existsSync, readdirSync } from 'node:fs';
import { copyFile, link, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { unfinishedName, writeFileAtomically } from '../base/atomic.js';
import { explainSystemError, UserError } from '../base/errors.js';
import type { Checkpoint } from './checkpoint.js';
import { DamagedFile, type StoredTensor, writeSafetensors } from './safetensors-writing.js';

const LATEST = 'latest.safetensors';
const PREVIOUS = 'previous.safetensors';
const BEST = 'best.safetensors';
const EPOCH = /^epoch-(\d{4,})\.safetensors$/;
/** A damaged checkpoint that was set aside: latest.damaged-1.safetensors. */
const SET_ASIDE = /^(?:latest|previous|best|epoch-\d{4,})\.damaged-\d+\.safetensors$/;

/** The folder of a run's checkpoints. */
export function checkpointsFolder(run: string): string {
  return join(run, 'checkpoints');
}

/** Where the newest checkpoint of a run lies. */
export function latestCheckpoint(folder: string): string {
  return join(folder, LATEST);
}

/** Where the one before it lies. */
export function previousCheckpoint(folder: string): string {
  return join(folder, PREVIOUS);
}

/** Where the one lies that an online probe found best, where there is one. */
export function bestCheckpoint(folder: string): string {
  return join(folder, BEST);
}

/** Where the checkpoint of an epoch lies, where it is kept. */
export function epochCheckpoint(folder: string, epoch: number): string {
  return join(folder, `epoch-${String(epoch).padStart(4, '0')}.safetensors`);
}

/** Whether a file of this name was written by a run. */
export function isCheckpoint(name: string): boolean {
  return name === LATEST || name === PREVIOUS || name === BEST || EPOCH.test(name) || SET_ASIDE.test(name);
}

/** The checkpoints that a run could go on from, from the newest to the oldest, the best one last; the newest even where it is missing. */
export function checkpointsByAge(folder: string): string[] {
  const names = readdirSync(folder);
  return [
    latestCheckpoint(folder),
    ...(names.includes(PREVIOUS) ? [previousCheckpoint(folder)] : []),
    ...keptEpochs(names).map((epoch) => epochCheckpoint(folder, epoch)),
    ...(names.includes(BEST) ? [bestCheckpoint(folder)] : []),
  ];
}

/** Whether a folder holds checkpoints that were set aside. */
export function holdsSetAside(folder: string): boolean {
  return readdirSync(folder).some((name) => SET_ASIDE.test(name));
}

/** A checkpoint that is ready to be written, and what has to be done before and after. */
export interface SaveJob {
  /** The folder of checkpoints. */
  folder: string;
  tensors: ReadonlyMap<string, StoredTensor>;
  metadata: Readonly<Record<string, string>>;
  /** Files that have to be on the disk before the checkpoint can be seen: the logs. */
  sync: readonly string[];
  /** The epoch under whose number it is kept too, and how many of those are; null where it is not. */
  keep: { epoch: number; most: number } | null;
  /** Whether it is kept as the best one, too. */
  isBest: boolean;
  /** A file that is written once the checkpoint is there. */
  note: { path: string; content: string };
}

/**
 * Saves a checkpoint as `latest.safetensors`; the one before stays as `previous.safetensors`. At every moment there is a
 * whole newest checkpoint and, from the second one on, a whole other one before it.
 * @throws UserError if something cannot be written; what was saved before is untouched
 */
export async function saveFiles({ folder, tensors, metadata, sync, keep, isBest, note }: SaveJob): Promise<void> {
  for (const path of sync) await syncFile(path);
  await writeSafetensors(latestCheckpoint(folder), tensors, metadata, async (temporary, latest) => {
    const previous = previousCheckpoint(folder);
    const before = existsSync(latest) ? await secondName(latest, previous) : null;
    await rename(temporary, latest);
    if (before !== null) await finishName(before, previous);
  });
  if (keep) await keepEpoch(folder, keep.epoch, keep.most);
  if (isBest) await keepBest(folder);
  await writeFileAtomically(note.path, note.content);
}

/** Keeps the newest checkpoint as the best one as well. */
export async function keepBest(folder: string): Promise<void> {
  await replaceByLink(latestCheckpoint(folder), bestCheckpoint(folder));
}

/** Keeps the newest checkpoint under its epoch's number as well, and of those files only the newest `most`. */
export async function keepEpoch(folder: string, epoch: number, most: number): Promise<void> {
  if (most > 0) await replaceByLink(latestCheckpoint(folder), epochCheckpoint(folder, epoch));
  const tooMany = keptEpochs(await readdir(folder)).slice(most);
  for (const old of tooMany) await rm(epochCheckpoint(folder, old), { force: true });
}

/**
 * The newest whole checkpoint of a run. Where that is not the newest one, damaged ones are set aside under other names,
 * and it takes the newest one's place.
 * @param load reads one, as `loadCheckpoint` does
 * @param warn is told of each checkpoint that is damaged or missing
 * @returns null where there is none at all
 * @throws UserError if there are some, but none is whole: nothing is changed then
 */
export async function recoverCheckpoint(
  folder: string,
  load: (path: string) => Promise<Checkpoint>,
  warn: (text: string) => void,
): Promise<Checkpoint | null> {
  const latest = latestCheckpoint(folder);
  const damaged: { path: string; problem: string }[] = [];
  for (const path of checkpointsByAge(folder)) {
    if (!existsSync(path)) continue;
    try {
      const checkpoint = await load(path);
      if (path !== latest) {
        if (!existsSync(latest)) warn(`${latest} is missing`);
        for (const { path: bad, problem } of damaged) warn(`${problem}\n  it was set aside as ${await setAside(bad)}`);
        await replaceByLink(path, latest);
        warn(`the run goes on from ${basename(path)}, step ${checkpoint.state.step}`);
      }
      return checkpoint;
    } catch (error) {
      if (!(error instanceof DamagedFile)) throw error;
      damaged.push({ path, problem: error.message });
    }
  }
  if (damaged.length === 0) return null;
  throw new UserError(damaged.map(({ problem }) => problem).join('\n'), {
    expected: 'one whole checkpoint of the run',
    remedy: 'put back a copy of one of them and use --resume again, or use --force to delete the run and start anew',
  });
}

/** Gives a damaged checkpoint a free name, under which nothing looks for it. */
async function setAside(path: string): Promise<string> {
  let name = path;
  for (let number = 1; existsSync(name); number++)
    name = path.replace(/\.safetensors$/, `.damaged-${number}.safetensors`);
  await rename(path, name).catch((error: unknown) => Promise.reject(explainSystemError(error, path)));
  return name;
}

/** Gives a file a second name, replacing what has it, without a moment at which that name is missing. */
async function replaceByLink(from: string, to: string): Promise<void> {
  try {
    await finishName(await secondName(from, to), to);
  } catch (error) {
    throw explainSystemError(error, to);
  }
}

/** Gives a file a second name, unfinished for the time being. */
async function secondName(from: string, to: string): Promise<string> {
  const temporary = unfinishedName(to);
  await link(from, temporary).catch(() => copyFile(from, temporary)); // some file systems have no links
  return temporary;
}

/** Renames an unfinished file. Where both names are of one file already, systems leave both, without a word. */
async function finishName(temporary: string, path: string): Promise<void> {
  await rename(temporary, path);
  await rm(temporary, { force: true });
}

/** Sees to it that what was written to a file is on the disk, whoever wrote it. */
async function syncFile(path: string): Promise<void> {
  try {
    const file = await open(path, 'r+');
    await file.sync().finally(() => file.close());
  } catch (error) {
    throw explainSystemError(error, path);
  }
}

/** The epochs whose checkpoints are among files of these names, from the newest to the oldest. */
function keptEpochs(names: readonly string[]): number[] {
  const epochs = names.map((name) => Number(EPOCH.exec(name)?.[1])); // NaN for all other names
  return epochs.filter((epoch) => !Number.isNaN(epoch)).sort((a, b) => b - a);
}
