import { joinRanks } from '../core/train/communicator/join.js';
import { type Ranks, SharedError } from '../core/train/communicator/ranks.js';
import { reportError } from './report-error.js';

/**
 * Does work together with the other processes of a run, where a launcher of MPI has started this one. Rank 0 alone says what
 * is wrong.
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
    const code = await work(ranks);
    await ranks.close();
    return code;
  } catch (error) {
    if (error instanceof SharedError) await ranks.close();
    process.exit(ranks.rank === 0 ? reportError(error) : 2);
  }
}
