import { setTimeout } from 'node:timers/promises';
import { exitAtOnce } from '../core/train/communicator/exit.js';
import { RankLost } from '../core/train/communicator/guard.js';
import { joinRanks } from '../core/train/communicator/join.js';
import { interruptLauncher } from '../core/train/communicator/programs-above.js';
import { type Ranks, SharedError } from '../core/train/communicator/ranks.js';
import { describeError, EXIT, reportError } from './report-error.js';

/** Milliseconds in which rank 0 should have noted a failure. */
const GRACE = 1000;

/**
 * Does work together with the other processes of a run, where a launcher of MPI has started this one. Rank 0 alone says what
 * is wrong; where one rank cannot go on, all of them end.
 * @param options where MPI is, and how long a rank may keep the others waiting
 * @returns the exit code
 */
export async function inRanks(
  options: { mpi: string | null; rankTimeout: number },
  work: (ranks: Ranks) => Promise<number>,
): Promise<number> {
  const ranks = await joinRanks({ mpi: options.mpi, patience: options.rankTimeout });
  if (ranks.size === 1) return work(ranks);
  try {
    return await end(ranks, await work(ranks));
  } catch (error) {
    if (error instanceof RankLost) {
      if (ranks.rank > 0) await setTimeout(GRACE); // rank 0 notes the failure first
      if (ranks.hosts > 1) await interruptLauncher();
      process.exit(EXIT.userError); // it has been said
    }
    if (error instanceof SharedError) {
      return end(ranks, ranks.rank === 0 ? reportError(error) : EXIT.userError);
    }
    const { report, exitCode } = describeError(error);
    await ranks.fail(report);
    process.exit(exitCode);
  }
}

/** Ends a run in ranks with an exit code. */
async function end(ranks: Ranks, code: number): Promise<number> {
  return (await ranks.close(code)) ? code : exitAtOnce(code);
}
