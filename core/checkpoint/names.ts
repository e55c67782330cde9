import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const LATEST = 'latest.safetensors';
const PREVIOUS = 'previous.safetensors';
const EPOCH = /^epoch-(\d{4,})\.safetensors$/;

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
export function epochOf(name: string): number | null {
  const found = EPOCH.exec(name);
  return found ? Number(found[1]) : null;
}

/** Whether a file of this name was written by a run. */
export function isCheckpoint(name: string): boolean {
  return name === LATEST || name === PREVIOUS || epochOf(name) !== null;
}

/** How to go on from the checkpoint before the newest, for messages; undefined where there is none. */
export function recoveryAdvice(folder: string): string | undefined {
  const previous = previousCheckpoint(folder);
  if (!existsSync(previous)) return undefined;
  return `copy ${previous} over ${latestCheckpoint(folder)} and use --resume again: the run goes on from there`;
}

/** Whether there is any checkpoint beside the newest. */
export function hasKeptCheckpoints(folder: string): boolean {
  return readdirSync(folder).some((name) => isCheckpoint(name) && name !== LATEST);
}
