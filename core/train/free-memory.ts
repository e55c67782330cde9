import { readFileSync } from 'node:fs';
import { freemem, totalmem } from 'node:os';
import { join } from 'node:path';
import type { EngineMemory } from '../engine/contract.js';

/** Fraction of the free memory that is used where the user names no budget. */
const FRACTION_OF_FREE = 0.6;
/** What is assumed of a graphics card, which does not tell: 8 GiB, in bytes. */
const ASSUMED_CARD = 8 * 2 ** 30;

/**
 * Bytes that computing may take: what the user names, or a part of what is free; of a card, which does not tell, what most
 * have.
 * @param megabytes what the user names, in MiB; null for nothing
 * @param free bytes of the machine's memory that the process may still take
 */
export function memoryBudget({ limit, of }: EngineMemory, megabytes: number | null, free = freeMemory()): number {
  const unnamed = of === 'card' ? ASSUMED_CARD : FRACTION_OF_FREE * free;
  return Math.min(limit ?? Number.POSITIVE_INFINITY, megabytes === null ? unnamed : megabytes * 2 ** 20);
}

/** What was assumed of a card's memory, for people; empty where nothing was. */
export function assumedMemory({ of }: EngineMemory, megabytes: number | null): string {
  if (of !== 'card' || megabytes !== null) return '';
  return `, ${ASSUMED_CARD / 2 ** 30} GiB of its memory assumed (--memory names another)`;
}

/** What the system says of memory, in bytes. */
export interface SystemMemory {
  free: number;
  total: number;
  /** What the process's control group may take; more than there is, 0 or undefined where it may take any. */
  limit: number | undefined;
  /** What the group has taken and cannot be had again at once; null where that is not told. */
  used: number | null;
  /** What this process has taken. */
  own: number;
}

/** Bytes that the process may still take: what is free on the machine, and allowed to the control group (a container, a job). */
export function freeMemory({ free, total, limit, used, own }: SystemMemory = systemMemory()): number {
  if (limit === undefined || limit <= 0 || limit >= total) return free;
  return Math.max(0, Math.min(free, limit - (used ?? own)));
}

function systemMemory(): SystemMemory {
  const { constrainedMemory } = process as { constrainedMemory?: () => number | undefined }; // from Node 20.12 on
  return {
    free: freemem(),
    total: totalmem(),
    limit: constrainedMemory?.call(process),
    used: groupMemory(),
    own: process.memoryUsage.rss(),
  };
}

/** Files of a control group of each version: where groups lie, what one has taken, and which parts of that are copies of files. */
const GROUPS = [
  { mark: '', root: 'sys/fs/cgroup', taken: 'memory.current', copies: ['inactive_file', 'active_file'] },
  {
    mark: 'memory',
    root: 'sys/fs/cgroup/memory',
    taken: 'memory.usage_in_bytes',
    copies: ['total_inactive_file', 'total_active_file'],
  },
] as const;

/**
 * Bytes that the process's control group has taken, without copies of files, which make room where it is needed; null where
 * the system does not tell.
 * @param system the folder below which its files lie
 */
export function groupMemory(system = '/'): number | null {
  const lines = read(join(system, 'proc/self/cgroup')).split('\n');
  for (const { mark, root, taken, copies } of GROUPS) {
    const path = lines.map((line) => line.split(':')).find(([, names]) => names?.split(',').includes(mark))?.[2];
    if (path === undefined) continue;
    // In a container its own group is the root.
    for (const folder of [join(system, root, path), join(system, root)]) {
      const bytes = Number.parseInt(read(join(folder, taken)), 10);
      if (!Number.isFinite(bytes)) continue;
      const stat = read(join(folder, 'memory.stat'));
      const copied = copies.map((name) => Number(new RegExp(`^${name} (\\d+)`, 'm').exec(stat)?.[1] ?? 0));
      return Math.max(0, bytes - copied.reduce((sum, part) => sum + part, 0));
    }
  }
  return null;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
