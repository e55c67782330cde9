import { readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { attempt } from '../../base/errors.js';
import { readSystemFile } from '../../base/files.js';
import { STOP_SIGNALS } from '../../base/program.js';

/** Processes above this one at which is looked, at most: npx and a shell may stand between it and its launcher. */
const GENERATIONS = 16;
/** What users start a run with. */
const STARTERS = /^(?:mpirun|mpiexec|orterun|prterun)/;
/** Milliseconds after which it is asked to end once more: Open MPI's kills its processes after a second. */
const AGAIN_MS = 500;

/** The programs that run above this process, the nearest first, where Linux tells; a path is empty where it does not. */
export function programsAbove(): { pid: number; path: string }[] {
  const programs: { pid: number; path: string }[] = [];
  for (let pid = process.ppid; pid > 1 && programs.length < GENERATIONS; ) {
    programs.push({ pid, path: attempt(() => readlinkSync(`/proc/${pid}/exe`), '') });
    pid = Number(/^PPid:\s*(\d+)/m.exec(readSystemFile(`/proc/${pid}/status`))?.[1] ?? 0);
  }
  return programs;
}

/**
 * Asks the launcher of this run to end, where it runs on this host: left to itself it waits for hosts that it cannot reach,
 * MPICH's and Open MPI's for minutes or for ever. Asked a second time, they wait no longer.
 */
export async function interruptLauncher(): Promise<void> {
  const launcher = programsAbove().find(({ path }) => STARTERS.test(basename(path)));
  if (!launcher) return;
  // The launcher sends such signals to its processes, this one too.
  for (const signal of STOP_SIGNALS) process.on(signal, () => {});
  const interrupt = () => attempt(() => process.kill(launcher.pid, 'SIGINT'), false);
  interrupt();
  await setTimeout(AGAIN_MS);
  interrupt();
}
