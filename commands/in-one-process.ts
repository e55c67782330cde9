import { existsSync } from 'node:fs';
import { type Console, createConsole } from '../core/base/console.js';
import { FileLock } from '../core/base/lock.js';
import { commandName, type StopSignalName } from '../core/base/program.js';
import { isAbort } from '../core/data/skipped.js';
import { listenForStop, type StopSignal, signalExitCode } from '../core/run/interrupt.js';
import { SharedError } from '../core/train/communicator/ranks.js';
import { inRanks } from './ranks.js';

/** A folder of several runs, and how messages speak of them. */
export interface SeveralRuns {
  /** Files of that folder. */
  plan: string;
  lock: string;
  it: 'comparison' | 'sweep';
  doing: string;
  /** The command that goes on, without the program's name. */
  goOn: string;
}

/**
 * Trains several runs in this process alone; a signal stops them so that they can go on.
 * @param work takes the folder's lock, not yet taken; gives the signal that stopped it, null where all is complete
 * @returns the exit code
 */
export function inOneProcess(
  json: boolean,
  { plan, lock: lockFile, it, doing, goOn }: SeveralRuns,
  work: (lock: FileLock, console: Console, stop: StopSignal) => Promise<StopSignalName | null>,
): Promise<number> {
  return inRanks({ mpi: null, rankTimeout: 300 }, async (ranks) => {
    if (ranks.size > 1) {
      throw new SharedError(`a ${it} is computed by one process`, {
        expected: 'no launcher of several processes',
        remedy: 'start it without mpirun or srun; compare runs that were trained in ranks with probe and tables',
      });
    }
    const console = createConsole(json);
    const lock = new FileLock(lockFile, { thing: `the ${it}`, doing });
    const stop = listenForStop((signal) => {
      console.line(`${signal}: finishing the step and saving; a second signal stops at once`);
    });
    try {
      const stopped = await work(lock, console, stop).catch((error: unknown) => {
        if (stop.received && isAbort(error)) return stop.received; // while features were computed
        throw error;
      });
      if (stopped === null) return 0;
      console.line(
        existsSync(plan)
          ? `stopped; go on with: ${commandName()} ${goOn}`
          : 'stopped before the first run; the same command begins anew',
      );
      return signalExitCode(stopped);
    } finally {
      stop.release();
      await lock.release();
    }
  });
}
