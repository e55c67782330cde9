import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { z } from 'zod';
import { isSystemError } from './errors.js';

const ownerSchema = z.object({
  pid: z.int().min(1),
  host: z.string(),
  /** When the process started, in the system's own measure; null where the system does not tell. */
  processStart: z.string().nullable(),
  /** Changes whenever the machine starts; null where the system does not tell. */
  boot: z.string().nullable(),
  /** When the lock was taken, for people. */
  since: z.string(),
  /** Tells two locks of one process apart. */
  nonce: z.string().regex(/^[0-9a-f]+$/),
});

/** Who holds a lock. */
export type LockOwner = z.infer<typeof ownerSchema>;

/** This process as the owner of a lock. */
export function thisProcess(nonce: string): LockOwner {
  const { pid } = process;
  return {
    ...{ pid, host: hostname(), processStart: processOf(pid).start, boot: bootId() },
    ...{ since: new Date().toISOString(), nonce },
  };
}

/** Who a lock file says holds it; null where it cannot be understood. */
export function parseOwner(text: string): LockOwner | null {
  try {
    return ownerSchema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

/**
 * Whether the process that took a lock still runs; 'unknown' for one of another machine.
 *
 * A process number that is in use again is told by the time at which the process started, where the system has /proc;
 * elsewhere such a process counts as the owner.
 */
export function judgeOwner({ pid, host, processStart, boot }: LockOwner): 'alive' | 'gone' | 'unknown' {
  if (host !== hostname()) return 'unknown';
  const currentBoot = bootId();
  if (boot !== null && currentBoot !== null && boot !== currentBoot) return 'gone';
  if (!isProcess(pid)) return 'gone';
  const { start, ended } = processOf(pid);
  const isAnother = processStart !== null && start !== null && processStart !== start;
  return ended || isAnother ? 'gone' : 'alive';
}

function isProcess(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return isSystemError(error, 'EPERM'); // somebody else's
  }
}

/** When a process started, and whether it has ended and only waits for its parent to ask. */
function processOf(pid: number): { start: string | null; ended: boolean } {
  // The fields after the name, which is in brackets and may hold anything: the first is the state, the 20th the start.
  const fields = systemFile(`/proc/${pid}/stat`)?.split(') ').at(-1)?.split(' ');
  return { start: fields?.[19] ?? null, ended: ['Z', 'X'].includes(fields?.[0] ?? '') };
}

function bootId(): string | null {
  return systemFile('/proc/sys/kernel/random/boot_id')?.trim() ?? null;
}

function systemFile(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null; // systems other than Linux have no such files
  }
}
