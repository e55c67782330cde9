import { type Advice, UserError } from '../../base/errors.js';
import { availableCores } from '../../engine/machine.js';
import { type Communicator, LOCAL } from './communicator.js';
import type { Phase } from './guard.js';

/** The ranks of a run, as one of them sees them. */
export interface Ranks extends Communicator {
  /** Of each rank, for people: 'rank 1 on node7'. */
  readonly names: readonly string[];
  /** How many of them run on this host, and how many may use the very cores of this one. */
  readonly onHost: number;
  readonly onCores: number;
  /** How many hosts they run on. */
  readonly hosts: number;
  /** What connects them, for people: 'Open MPI 4.1.4, 4 ranks on 2 hosts'; null for a rank that is alone. */
  readonly title: string | null;
  /** What should be done better about them, for people; null for nothing. */
  readonly note: string | null;
  /** Takes note of what this rank is doing now. */
  phase(name: Phase): void;
  /** Ends the ranks because this one cannot go on, with a report that rank 0 prints; the process has to end after it. */
  fail(report: string): Promise<void>;
  /** Ends the run in ranks, together with the others: see `Transport.close`. */
  close(code: number): Promise<boolean>;
}

/** An error that all ranks throw at the same time. */
export class SharedError extends UserError {}

/** A process that is no rank of many. */
export const ALONE: Ranks = {
  ...LOCAL,
  names: ['this process'],
  onHost: 1,
  onCores: 1,
  hosts: 1,
  title: null,
  note: null,
  phase: () => {},
  fail: async () => {},
  close: async () => true,
};

/** Threads that compute on a rank, where no number was asked for: ranks on the same cores share them. */
export function threadsOf({ onCores }: Pick<Ranks, 'onCores'>): number {
  return Math.max(1, Math.floor(availableCores() / onCores));
}

/** A value of every rank, by rank; all of JSON. */
export async function gatherJson<Value>(communicator: Communicator, own: Value): Promise<Value[]> {
  if (communicator.size === 1) return [own];
  const all = await communicator.gather(Buffer.from(JSON.stringify(own) ?? 'null'));
  return all.map((bytes) => JSON.parse(Buffer.from(bytes).toString()));
}

/** A value of rank 0, of JSON; the others give null. */
export async function broadcastJson<Value>(communicator: Communicator, own: Value | null): Promise<Value> {
  if (communicator.size === 1 && own !== null) return own;
  const bytes = await communicator.broadcast(own === null ? null : Buffer.from(JSON.stringify(own)));
  return JSON.parse(Buffer.from(bytes).toString());
}

/**
 * Sees to it that ranks have the same.
 * @param all what each has, by rank
 * @throws SharedError that names the first rank that has something else than rank 0
 */
export function requireSame<Facts>(
  { names }: Pick<Ranks, 'names'>,
  what: string,
  all: readonly Facts[],
  describe: (facts: Facts) => string,
  advice: Advice = {
    expected: 'the same options, data and engine on every rank',
    remedy: 'start all of them by one command, with data and program in the same place on every host',
  },
): void {
  const described = all.map(describe);
  const other = described.findIndex((value) => value !== described[0]);
  if (other < 0) return;
  const problem = `the ranks do not have the same ${what}: ${names[0]} has ${described[0]}, ${names[other]} ${described[other]}`;
  throw new SharedError(problem, advice);
}
