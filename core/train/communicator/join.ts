import { cpus, hostname } from 'node:os';
import type { Advice } from '../../base/errors.js';
import { readSystemFile } from '../../base/files.js';
import { communicatorOver } from './communicator.js';
import { findMpi } from './find.js';
import { openGuard } from './guard.js';
import { type Launched, launchedRank } from './launcher.js';
import { startMpi } from './mpi.js';
import { ALONE, gatherJson, type Ranks, SharedError } from './ranks.js';

export interface JoinOptions {
  /** The path of MPI's library or its folder; null: that of the launcher is looked for. */
  mpi: string | null;
  /** Seconds that a rank may keep the others waiting. */
  patience: number;
  /** Why this rank cannot go on: found before it joined the others. */
  failure?: { problem: string; advice: Advice } | null;
}

/** Seconds without a sign of life after which a rank is lost. */
const SILENCE = 10;

/**
 * Joins the other processes of a run, where a launcher of MPI has started this one; otherwise this process is alone.
 * @throws UserError if MPI's library is not found, or is not the launcher's; SharedError where a rank cannot go on
 */
export async function joinRanks({ mpi, patience, failure = null }: JoinOptions): Promise<Ranks> {
  const launched = launchedRank();
  if (!launched) return ALONE;
  const transport = await startMpi(findMpi(launched, mpi ?? undefined), launched);
  const { rank, size } = transport;
  const first = communicatorOver(transport);
  const all = await gatherJson(first, { host: hostname(), cores: allowedCores(), failure });
  const names = all.map(({ host }, other) => `rank ${other} on ${host}`);
  const failed = all.findIndex(({ failure }) => failure !== null);
  const failing = all[failed]?.failure;
  if (failing) {
    await transport.close(1);
    throw new SharedError(failed === 0 ? failing.problem : `${names[failed]}: ${failing.problem}`, failing.advice);
  }
  const { host, cores } = all[rank];
  const guard = await openGuard({ rank, host }, (text) => gatherJson(first, text), { silence: SILENCE, patience });
  const communicator = communicatorOver(transport, guard.lost);
  const onHost = all.filter((other) => other.host === host);
  const hosts = new Set(all.map(({ host }) => host)).size;
  return {
    ...communicator,
    names,
    onHost: onHost.length,
    onCores: onHost.filter((other) => other.cores === cores).length,
    hosts,
    title: `${size} on ${hosts === 1 ? 'this host' : `${hosts} hosts`}, ${transport.title}`,
    note: boundNote(launched, cores, onHost.length),
    phase: guard.phase,
    fail: guard.fail,
    async close(code) {
      guard.phase('waiting');
      const hasEnded = await Promise.race([transport.close(code), guard.lost]);
      await guard.close();
      return hasEnded;
    },
  };
}

/** The numbers of the cores on which this process may run, where Linux tells. */
function allowedCores(): string {
  return /^Cpus_allowed_list:\s*(\S+)/m.exec(readSystemFile('/proc/self/status'))?.[1] ?? '';
}

/** What is to be said where Open MPI has bound each rank to one core, as it does with two, of a machine that has more. */
export function boundNote(
  { launcher }: Pick<Launched, 'launcher'>,
  cores: string,
  onHost: number,
  all = cpus().length,
) {
  const isBound = launcher === 'Open MPI' && /^\d+(,\d+)?$/.test(cores);
  if (!isBound || all / onHost < 4) return null;
  return `Open MPI lets each rank use one core, of ${all} for ${onHost}: mpirun --bind-to none gives them all`;
}
