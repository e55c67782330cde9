import { spawn } from 'node:child_process';
import { type FSWatcher, watch } from 'node:fs';
import type { RandomStream } from '../../core/base/random.js';
import type { RunFolder } from '../../core/run/run-folder.js';
import { type Launcher, processOfRank } from '../helpers/launchers.js';
import { COMMAND } from '../helpers/paths.js';

/** When a process is to be killed. */
export interface KillPlan {
  /** The file whose appearing or changing is waited for; null to wait from the start of the process. */
  file: RegExp | null;
  /** How many times it has to. */
  times: number;
  /** Milliseconds to wait after that. */
  delay: number;
}

/** A run of several processes: one of them is killed, and the launcher ends the others. */
export interface Ranks {
  launcher: Launcher;
  count: number;
  /** The one that is killed. */
  victim: number;
}

export interface KilledProcess {
  /** Whether it was killed before it ended by itself. */
  killed: boolean;
  code: number | null;
  output: string;
}

/** From the moments of a run, the narrow ones as often as the wide ones. */
export function planKill(stream: RandomStream): KillPlan {
  const between = (from: number, to: number) => stream.integer(from, to);
  switch (between(0, 5)) {
    case 0:
      return { file: null, times: 0, delay: between(0, 2500) };
    case 1:
      return { file: /^log\.jsonl$/, times: between(1, 30), delay: between(0, 25) };
    case 2:
      return { file: /^latest\.safetensors\.\w+\.unfinished$/, times: between(1, 8), delay: 0 };
    case 3:
      return { file: /^latest\.safetensors\.\w+\.unfinished$/, times: between(1, 8), delay: between(1, 6) };
    case 4:
      return { file: /^(previous|best|epoch-\d+)\.safetensors\.\w+\.unfinished$/, times: between(1, 6), delay: 0 };
    default:
      return { file: /^(state\.json|log\.csv)/, times: between(1, 20), delay: 0 };
  }
}

/**
 * Starts `ijepa` and kills it with SIGKILL by a plan; where its moment never comes, lets it end.
 * @param ranks its processes; null for one, without a launcher
 */
export async function startAndKill(
  args: readonly string[],
  run: RunFolder,
  plan: KillPlan | null,
  ranks: Ranks | null,
) {
  const program = [process.execPath, COMMAND, ...args];
  const words = ranks ? [ranks.launcher.command, ...ranks.launcher.args(ranks.count), ...program] : program;
  const [command = '', ...rest] = words;
  const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data) => {
      output += data;
    });
  }
  let killed = false;
  const kill = () => {
    const pid = ranks ? processOfRank(run.path, ranks.victim) : child.pid;
    killed = pid !== undefined && child.exitCode === null && process.kill(pid, 'SIGKILL');
  };
  const stopWatching = plan ? carryOut(plan, kill, run) : () => {};
  return new Promise<KilledProcess>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      stopWatching();
      resolve({ killed: ranks ? killed && code !== 0 : signal === 'SIGKILL', code, output });
    });
  });
}

/** @returns what ends the watching */
function carryOut({ file, times, delay }: KillPlan, end: () => void, run: RunFolder): () => void {
  let timer: NodeJS.Timeout | undefined;
  let left = times;
  const kill = () => {
    if (delay === 0) end();
    else timer ??= setTimeout(end, delay);
  };
  const watchers: FSWatcher[] = [];
  if (file === null) kill();
  else {
    for (const folder of [run.path, run.checkpoints]) {
      const watcher = watch(folder, (_, name) => {
        if (name !== null && file.test(name) && --left === 0) kill();
      });
      watchers.push(watcher);
    }
  }
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
  };
}
