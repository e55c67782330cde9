import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StopSignalName } from '../../core/base/program.js';
import { type EndedHere, ijepaHere } from './command.js';

/** A user without rights, as whom root starts what has to be refused something. */
const NOBODY = 65_534;

/** Mounts a file system of so many kB in memory; undefined where that is not allowed. */
export function mountSmall(
  folder: string,
  kilobytes: number,
): { grow(kilobytes: number): void; remove(): void } | undefined {
  const mount = (...args: string[]) => spawnSync('mount', args).status === 0;
  if (!mount('-t', 'tmpfs', '-o', `size=${kilobytes}k`, 'tmpfs', folder)) return undefined;
  return {
    grow: (more) => mount('-o', `remount,size=${more}k`, folder),
    remove: () => spawnSync('umount', ['-l', folder]),
  };
}

/** Whether `mountSmall` works here. */
export function canMount(): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'ijepa-mount-'));
  const mounted = mountSmall(folder, 64);
  mounted?.remove();
  rmdirSync(folder);
  return mounted !== undefined;
}

/** Whom permissions hold for: this user, or, because they do not hold for root, one without rights. */
export function ordinaryUser(folder: string): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  chownSync(folder, NOBODY, NOBODY);
  chmodSync(folder, 0o755);
  return { uid: NOBODY, gid: NOBODY };
}

/** Does something, once, as soon as a condition holds. @returns what ends the waiting */
export function whenever(holds: () => boolean, act: () => void): () => void {
  const timer = setInterval(() => {
    if (!holds()) return;
    clearInterval(timer);
    act();
  }, 3);
  return () => clearInterval(timer);
}

/** Does something as soon as a run's log has so many lines. @returns what ends the waiting */
export function whenLogged(run: string, lines: number, act: () => void): () => void {
  return whenever(() => hasLogged(run, lines), act);
}

function hasLogged(run: string, lines: number): boolean {
  const log = join(run, 'log.jsonl');
  return existsSync(log) && readFileSync(log, 'utf8').split('\n').length > lines;
}

/** Runs a command in this process, and tells it of a signal as soon as a condition holds. */
export function stoppedHereWhen(
  holds: () => boolean,
  args: readonly string[],
  signal: StopSignalName,
  cwd?: string,
): Promise<EndedHere> {
  const giveUp = whenever(holds, () => process.emit(signal, signal));
  return ijepaHere(args, cwd).finally(giveUp);
}

/** Runs a command in this process, and tells it of a signal as soon as the log of its run has so many lines. */
export function stoppedHere(
  args: readonly string[],
  run: string,
  lines: number,
  signal: StopSignalName = 'SIGTERM',
  cwd?: string,
): Promise<EndedHere> {
  return stoppedHereWhen(() => hasLogged(run, lines), args, signal, cwd);
}

/** The checkpoints of a run that have their own names. */
export function checkpointsOf(run: string): string[] {
  const folder = join(run, 'checkpoints');
  return readdirSync(folder)
    .filter((name) => name.endsWith('.safetensors'))
    .map((name) => join(folder, name));
}
