import { type Stats, statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { systemPath } from '../../base/file-names.js';

/** Files that are asked for between two turns of the event loop. */
const FILES_PER_TURN = 512;
/** Milliseconds for so many files above which the disk is slow, and several are asked for at the same time. */
const SLOW_MS = 100;

/**
 * What the system says of files, links followed; null where there is none. They are asked for one after the other, which
 * takes a fifth of the time of promises, unless the disk is so slow that waiting for it counts.
 * @param take takes it, with the place of the file in `paths`
 */
export async function statAll(
  paths: readonly string[],
  take: (found: Stats | null, index: number) => void,
): Promise<void> {
  let isSlow = false;
  for (let from = 0; from < paths.length; from += FILES_PER_TURN) {
    const part = paths.slice(from, from + FILES_PER_TURN);
    const started = performance.now();
    const found = isSlow ? await Promise.all(part.map(statLater)) : part.map(statNow);
    isSlow ||= performance.now() - started > SLOW_MS;
    for (const [at, stats] of found.entries()) take(stats, from + at);
    await setImmediate(); // lets signals and progress through
  }
}

/** What the system says of a file; null where there is none. */
export function statNow(path: string): Stats | null {
  try {
    return statSync(systemPath(path), { throwIfNoEntry: false }) ?? null;
  } catch {
    return null;
  }
}

async function statLater(path: string): Promise<Stats | null> {
  return stat(systemPath(path)).catch(() => null);
}
