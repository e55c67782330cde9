import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { runProgram } from '../../commands/program.js';
import { COMMAND } from './paths.js';

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** How a command ended in the process of its test, which nobody ends by a signal. */
export type EndedHere = Omit<Ended, 'signal'>;

/** How the command is started. */
export interface StartOptions {
  cwd?: string | undefined;
  /** Added to the environment. */
  env?: Record<string, string | undefined>;
  /** The user that it runs as. */
  uid?: number;
  gid?: number;
  /** What a shell does first. */
  first?: string;
  /** Gets the process, to be signalled. */
  started?: ((child: ChildProcess) => void) | undefined;
}

/** Runs the compiled command to its end. `started` gets the process, to be signalled. */
export function ijepa(args: readonly string[], cwd?: string, started?: (child: ChildProcess) => void): Promise<Ended> {
  return startIjepa(args, { cwd, started });
}

/** Runs the compiled command to its end, in other circumstances. */
export function startIjepa(args: readonly string[], options: StartOptions = {}): Promise<Ended> {
  return startProgram([process.execPath, COMMAND, ...args], options);
}

/** Runs any program to its end. */
export function startProgram(
  command: readonly string[],
  { env, first, started, ...options }: StartOptions = {},
): Promise<Ended> {
  const [program = '', ...rest] = first === undefined ? command : ['sh', '-c', `${first}; exec "$@"`, 'sh', ...command];
  return new Promise((resolve, reject) => {
    const child = spawn(program, rest, {
      ...options,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (data) => {
      stdout += data;
    });
    child.stderr.on('data', (data) => {
      stderr += data;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
    started?.(child);
  });
}

/** A new folder that is removed when the test ends. */
export async function temporaryFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ijepa-test-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const TINY_RUN = [
  'shapes:48',
  ...'--image-size 16 --patch-size 4 --dim 16 --depth 1 --heads 2'.split(' '),
  ...'--batch-size 8 --watch-images 8 --watch-every-steps 4 --engine wasm'.split(' '),
];

/** For each method a model and data so small that a step takes milliseconds. */
export const SMALLEST_OF = {
  ijepa: [...TINY_RUN, ...'--predictor-dim 8 --predictor-depth 1'.split(' ')],
  cjepa: [...TINY_RUN, ...'--method cjepa --predictor-dim 8 --predictor-depth 1'.split(' ')],
  mae: [...TINY_RUN, ...'--method mae --decoder-dim 8 --decoder-depth 1'.split(' ')],
  data2vec: [...TINY_RUN, ...'--method data2vec --layer-scale 0.1'.split(' ')],
  lejepa: [...TINY_RUN, ...'--method lejepa --local-views 2 --projector-width 16 --projector-dim 8'.split(' ')],
  dino: [
    ...TINY_RUN,
    ...'--method dino --local-crops 2 --head-dim 16 --bottleneck-dim 8 --output-dim 24 --ema 0.9'.split(' '),
  ],
  ibot: [
    ...TINY_RUN,
    ...'--method ibot --local-crops 2 --head-dim 16 --bottleneck-dim 8 --output-dim 24 --ema 0.9'.split(' '),
  ],
  cae: [...TINY_RUN, ...'--method cae --regressor-depth 1 --decoder-depth 1'.split(' ')],
  msn: [
    ...TINY_RUN,
    ...'--method msn --local-crops 2 --head-dim 16 --projection-dim 8 --prototypes 12 --ema 0.9'.split(' '),
  ],
  simclr: [...TINY_RUN, ...'--method simclr --output-dim 8'.split(' ')],
  byol: [...TINY_RUN, ...'--method byol --projector-width 16 --projector-dim 8 --ema 0.9'.split(' ')],
};
export const SMALLEST = SMALLEST_OF.ijepa;

/**
 * Runs the program to its end in this process, which takes a tenth of the time where little is computed. Only in tests that
 * run alone (`test.serial`), because the whole process is in that folder meanwhile.
 */
export async function ijepaHere(args: readonly string[], cwd = process.cwd()): Promise<EndedHere> {
  const said = { stdout: '', stderr: '' };
  const [before, written] = [process.cwd(), { stdout: process.stdout.write, stderr: process.stderr.write }];
  for (const name of ['stdout', 'stderr'] as const) {
    process[name].setMaxListeners(0); // each run of the program listens to them
    process[name].write = (text: string | Uint8Array) => {
      said[name] += text.toString();
      return true;
    };
  }
  process.chdir(cwd);
  try {
    return { code: await runProgram([process.execPath, COMMAND, ...args]), ...said };
  } finally {
    process.chdir(before);
    process.stdout.write = written.stdout;
    process.stderr.write = written.stderr;
  }
}
