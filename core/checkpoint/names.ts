import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const LATEST = 'latest.safetensors';
const PREVIOUS = 'previous.safetensors';
const EPOCH = /^epoch-(\d{4,})\.safetensors$/;
/** A damaged checkpoint that was set aside: latest.damaged-1.safetensors. */
const SET_ASIDE = /^(?:latest|previous|epoch-\d{4,})\.damaged-\d+\.safetensors$/;
const ENDING = /\.safetensors$/;

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

/** Where the checkpoint of an epoch lies, where it is kept. */
export function epochCheckpoint(folder: string, epoch: number): string {
  return join(folder, `epoch-${String(epoch).padStart(4, '0')}.safetensors`);
}

/** The epoch of a checkpoint's name, or null for every other name. */
function epochOf(name: string): number | null {
  const found = EPOCH.exec(name);
  return found ? Number(found[1]) : null;
}

/** Whether a file of this name was written by a run. */
export function isCheckpoint(name: string): boolean {
  return name === LATEST || name === PREVIOUS || epochOf(name) !== null || SET_ASIDE.test(name);
}

/** The checkpoints that a run could go on from, from the newest to the oldest; the newest even where it is missing. */
export function checkpointsByAge(folder: string): string[] {
  const names = readdirSync(folder);
  return [
    latestCheckpoint(folder),
    ...(names.includes(PREVIOUS) ? [previousCheckpoint(folder)] : []),
    ...keptEpochs(names).map((epoch) => epochCheckpoint(folder, epoch)),
  ];
}

/** The epochs whose checkpoints are among files of these names, from the newest to the oldest. */
export function keptEpochs(names: readonly string[]): number[] {
  const epochs = names.map(epochOf).filter((epoch) => epoch !== null);
  return epochs.sort((a, b) => b - a);
}

/** Whether a folder holds checkpoints that were set aside. */
export function holdsSetAside(folder: string): boolean {
  return readdirSync(folder).some((name) => SET_ASIDE.test(name));
}

/** A free name for a checkpoint that is damaged. */
export function setAsideName(checkpoint: string): string {
  for (let number = 1; ; number++) {
    const name = checkpoint.replace(ENDING, `.damaged-${number}.safetensors`);
    if (!existsSync(name)) return name;
  }
}
