import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/**
 * Cores on which the process may compute: those of its CPU affinity, fewer where a control group allows less, and of two
 * hardware threads on one core only one, because matrix products gain nothing from the second.
 */
export function availableCores(): number {
  return Math.max(1, Math.min(Math.floor(availableParallelism() / threadsPerCore()), controlGroupCores()));
}

/** Hardware threads that share a core, as Linux tells; 1 where nothing does. */
function threadsPerCore(): number {
  const siblings = readText('/sys/devices/system/cpu/cpu0/topology/thread_siblings_list');
  if (siblings === undefined) return 1;
  return siblings.split(',').reduce((sum, part) => {
    const [from, to = from] = part.split('-').map(Number) as [number, number?];
    return sum + to - from + 1;
  }, 0);
}

/** The cores that a control group's quota comes to (version 2, then 1); infinite where there is none. */
function controlGroupCores(): number {
  const [quota, period] = (readText('/sys/fs/cgroup/cpu.max') ?? 'max').split(' ').map(Number);
  if (quota && period) return Math.max(1, Math.floor(quota / period));
  const oldQuota = Number(readText('/sys/fs/cgroup/cpu/cpu.cfs_quota_us') ?? -1);
  const oldPeriod = Number(readText('/sys/fs/cgroup/cpu/cpu.cfs_period_us') ?? -1);
  return oldQuota > 0 && oldPeriod > 0 ? Math.max(1, Math.floor(oldQuota / oldPeriod)) : Number.POSITIVE_INFINITY;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}
