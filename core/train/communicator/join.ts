import { hostname } from 'node:os';
import { readSystemFile } from '../../base/files.js';
import { communicatorOver } from './communicator.js';
import { findMpi } from './find.js';
import { launchedRank } from './launcher.js';
import { startMpi } from './mpi.js';
import { ALONE, gatherJson, type Ranks } from './ranks.js';

export interface JoinOptions {
  /** The path of MPI's library or its folder; null: that of the launcher is looked for. */
  mpi: string | null;
  /** Seconds that a rank may keep the others waiting. */
  patience: number;
}

/**
 * Joins the other processes of a run, where a launcher of MPI has started this one; otherwise this process is alone.
 * @throws UserError if MPI's library is not found, or is not the launcher's
 */
export async function joinRanks({ mpi }: JoinOptions): Promise<Ranks> {
  const launched = launchedRank();
  if (!launched) return ALONE;
  const transport = await startMpi(findMpi(launched, mpi ?? undefined), launched);
  const communicator = communicatorOver(transport);
  const { rank, size } = communicator;
  const all = await gatherJson(communicator, { host: hostname(), cores: allowedCores() });
  const own = all[rank];
  const onHost = all.filter(({ host }) => host === own.host);
  const hosts = new Set(all.map(({ host }) => host)).size;
  return {
    ...communicator,
    names: all.map(({ host }, other) => `rank ${other} on ${host}`),
    onHost: onHost.length,
    onCores: onHost.filter(({ cores }) => cores === own.cores).length,
    title: `${size} on ${hosts === 1 ? 'this host' : `${hosts} hosts`}, ${transport.title}`,
    phase: () => {},
    close: () => transport.close(),
  };
}

/** The numbers of the cores on which this process may run, where Linux tells. */
function allowedCores(): string {
  return /^Cpus_allowed_list:\s*(\S+)/m.exec(readSystemFile('/proc/self/status'))?.[1] ?? '';
}
