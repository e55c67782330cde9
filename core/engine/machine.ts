import { availableParallelism, freemem, totalmem } from 'node:os';
import { join } from 'node:path';
import { readSystemFile } from '../base/files.js';

/**
 * Cores on which the process may compute: those of its CPU affinity, fewer where a control group allows less, and of two
 * hardware threads on one core only one, because matrix products gain nothing from the second.
 */
export function availableCores(): number {
  return Math.max(1, Math.min(Math.floor(availableParallelism() / threadsPerCore()), controlGroupCores()));
}

/** Hardware threads that share a core, as Linux tells; 1 where nothing does. */
function threadsPerCore(): number {
  const siblings = readSystemFile('/sys/devices/system/cpu/cpu0/topology/thread_siblings_list') || '0';
  return siblings.split(',').reduce((sum, part) => {
    const [from, to = from] = part.split('-').map(Number) as [number, number?];
    return sum + to - from + 1;
  }, 0);
}

/** The cores that a control group's quota comes to (version 2, then 1); infinite where there is none. */
function controlGroupCores(): number {
  const [quota, period] = readSystemFile('/sys/fs/cgroup/cpu.max').split(' ').map(Number);
  if (quota && period) return Math.max(1, Math.floor(quota / period));
  const oldQuota = Number(readSystemFile('/sys/fs/cgroup/cpu/cpu.cfs_quota_us'));
  const oldPeriod = Number(readSystemFile('/sys/fs/cgroup/cpu/cpu.cfs_period_us'));
  return oldQuota > 0 && oldPeriod > 0 ? Math.max(1, Math.floor(oldQuota / oldPeriod)) : Number.POSITIVE_INFINITY;
}

/** Bytes that the process may still take: what is free on the machine, and allowed to the control group (a container, a job). */
export function freeMemory({ free, total, limit, used, own } = systemMemory()): number {
  if (limit === undefined || limit <= 0 || limit >= total) return free;
  return Math.max(0, Math.min(free, limit - (used ?? own)));
}

/** What the system says of memory, in bytes. */
function systemMemory() {
  return {
    free: freemem(),
    total: totalmem(),
    /** What the process's control group may take; more than there is, 0 or undefined where it may take any. */
    limit: process.constrainedMemory() as number | undefined,
    /** What the group has taken and cannot be had again at once; null where that is not told. */
    used: groupMemory(),
    /** What this process has taken. */
    own: process.memoryUsage.rss(),
  };
}

/** Files of a control group of each version: where groups lie, what one has taken, and how parts of that are named. */
const GROUPS = [
  { mark: '', root: 'sys/fs/cgroup', taken: 'memory.current', prefix: '' },
  { mark: 'memory', root: 'sys/fs/cgroup/memory', taken: 'memory.usage_in_bytes', prefix: 'total_' },
];

/**
 * Bytes that the process's control group has taken, without copies of files, which make room where it is needed; null where
 * the system does not tell.
 * @param system the folder below which its files lie
 */
export function groupMemory(system = '/'): number | null {
  const lines = readSystemFile(join(system, 'proc/self/cgroup')).split('\n');
  for (const { mark, root, taken, prefix } of GROUPS) {
    const path = lines.map((line) => line.split(':')).find(([, names]) => names?.split(',').includes(mark))?.[2];
    if (path === undefined) continue;
    // In a container its own group is the root.
    for (const folder of [join(system, root, path), join(system, root)]) {
      const bytes = Number.parseInt(readSystemFile(join(folder, taken)), 10);
      if (!Number.isFinite(bytes)) continue;
      const stat = readSystemFile(join(folder, 'memory.stat'));
      const copies = stat.matchAll(new RegExp(`^${prefix}(?:in)?active_file (\\d+)`, 'gm'));
      return Math.max(0, bytes - [...copies].reduce((sum, [, part]) => sum + Number(part), 0));
    }
  }
  return null;
}
