import { type ChildProcess, spawn } from 'node:child_process';
import { type FSWatcher, watch } from 'node:fs';
import type { RandomStream } from '../../core/base/random.js';
import type { RunFolder } from '../../core/run/run-folder.js';
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
      return { file: /^(previous|epoch-\d+)\.safetensors\.\w+\.unfinished$/, times: between(1, 6), delay: 0 };
    default:
      return { file: /^(state\.json|log\.csv)/, times: between(1, 20), delay: 0 };
  }
}

/** Starts `ijepa` and kills it with SIGKILL by a plan; where its moment never comes, lets it end. */
export async function startAndKill(args: readonly string[], run: RunFolder, plan: KillPlan | null) {
  const child = spawn(process.execPath, [COMMAND, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data) => {
      output += data;
    });
  }
  const stopWatching = plan ? carryOut(plan, child, run) : () => {};
  return new Promise<KilledProcess>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      stopWatching();
      resolve({ killed: signal === 'SIGKILL', code, output });
    });
  });
}

/** @returns what ends the watching */
function carryOut({ file, times, delay }: KillPlan, child: ChildProcess, run: RunFolder): () => void {
  let timer: NodeJS.Timeout | undefined;
  let left = times;
  const kill = () => {
    if (delay === 0) child.kill('SIGKILL');
    else timer ??= setTimeout(() => child.kill('SIGKILL'), delay);
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
