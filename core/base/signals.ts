import { readlinkSync } from 'node:fs';
import { constants } from 'node:os';
import { basename } from 'node:path';
import { attempt } from './errors.js';
import { readSystemFile } from './files.js';

/** The signals after which a run is saved. SIGHUP comes when a terminal closes. */
export const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
export type StopSignalName = (typeof STOP_SIGNALS)[number];

/** Processes above this one at which is looked, at most. */
const GENERATIONS = 8;
/** Bits of the flags of an open file that say whether it can be read or written. */
const ACCESS = 3;
const WRITE_ONLY = 1;

/**
 * Whether a signal was ignored when the program started, as `nohup` has it, and scripts that ignore it themselves.
 *
 * Node gives every signal its usual effect before a program can look. What is left are the marks of nohup, and, on Linux,
 * what the process ignores that started this one: a shell hands that on. One that takes commands from a terminal does not;
 * it is known by ignoring SIGTSTP.
 */
export function isIgnored(signal: StopSignalName): boolean {
  if (signal === 'SIGHUP' && wasStartedByNohup()) return true;
  const mask = ignoredByParent();
  const isIn = (name: NodeJS.Signals) => ((mask >> BigInt(constants.signals[name] - 1)) & 1n) === 1n;
  return isIn(signal) && !isIn('SIGTSTP');
}

/** Sees to it that the signals that were ignored have no effect as long as the program runs. */
export function keepIgnored(): void {
  for (const signal of STOP_SIGNALS) if (isIgnored(signal)) process.on(signal, () => {});
}

/**
 * Shells name what they start in `_`. Where input or output would be a terminal, nohup puts a null device that can only be
 * written, and the file nohup.out.
 */
function wasStartedByNohup(): boolean {
  if (basename(process.env._ ?? '') === 'nohup') return true;
  const flags = Number.parseInt(/^flags:\s*([0-7]+)/m.exec(readSystemFile('/proc/self/fdinfo/0'))?.[1] ?? '0', 8);
  const isClosedInput = linkOf('/proc/self/fd/0') === '/dev/null' && (flags & ACCESS) === WRITE_ONLY;
  return isClosedInput || basename(linkOf('/proc/self/fd/1')) === 'nohup.out';
}

/** The signals, as bits, that are ignored by the process that started this one; other processes of Node, such as npx, stand between. */
function ignoredByParent(): bigint {
  let pid = process.ppid;
  for (let above = 0; above < GENERATIONS && pid > 1; above++) {
    const status = readSystemFile(`/proc/${pid}/status`);
    if (basename(linkOf(`/proc/${pid}/exe`)) !== basename(process.execPath)) {
      return BigInt(`0x${/^SigIgn:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
    }
    pid = Number(/^PPid:\s*(\d+)/m.exec(status)?.[1] ?? 0);
  }
  return 0n;
}

function linkOf(path: string): string {
  return attempt(() => readlinkSync(path), '');
}
