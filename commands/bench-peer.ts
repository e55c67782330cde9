import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { printable, systemProblem, UserError } from '../core/base/errors.js';
import { tryJson } from '../core/base/text.js';
import { encoderSize } from '../core/config/settings.js';
import type { Precision } from '../core/engine/contract.js';
import type { ResolvedRun } from './run-sources.js';

/** The peer's step. */
const SCRIPT = fileURLToPath(new URL('../../core/methods/ijepa/torch_step.py', import.meta.url));

/** What it runs on. */
const NEEDED = 'PyTorch 2.4 or newer, on Linux or macOS';

/** What it does, as the options of a run say it. */
const WORK = { method: 'ijepa', loss: 'smooth-l1', regularizer: 'none', optimiser: 'adamw' };

/**
 * The ways in which PyTorch may compute a step of a precision. The first has to work; of the others it is told why they do not:
 * a compiled step needs a C++ compiler. In bfloat16 a compiled step takes several times as long as one that is not.
 */
const MODES: Readonly<Record<Precision, readonly { mode: string; compile: boolean }[]>> = {
  float32: [
    { mode: 'fused AdamW', compile: false },
    { mode: 'fused AdamW, torch.compile', compile: true },
  ],
  bfloat16: [{ mode: 'fused AdamW, autocast', compile: false }],
};

/** What the script prints. */
const resultSchema = z.object({
  version: z.string(),
  threads: z.number(),
  secondsPerStep: z.number(),
  minSeconds: z.number(),
  imagesPerSecond: z.number().positive(),
  firstStepSeconds: z.number(),
  peakMemoryMiB: z.number(),
  /** Number of values that are trained. */
  parameters: z.number(),
  loss: z.number(),
});

/** The step that is timed, as the script reads it. */
export type PeerStep = ReturnType<typeof peerStep>;
export type PeerResult = ReturnType<typeof timePeer>;

/**
 * The step of a benchmark for PyTorch.
 * @throws UserError if it is one that the script does not do
 */
export function peerStep({ method, options }: ResolvedRun, config: string, steps: number) {
  const other = Object.entries({ ...options, method: method.name }).find(
    ([name, value]) => name in WORK && value !== WORK[name as keyof typeof WORK],
  );
  if (other) {
    const [name, value] = other;
    throw new UserError(`--peer cannot time a step with ${name} ${value} in PyTorch`, {
      expected: `the step of I-JEPA: ${Object.entries(WORK)
        .map((words) => words.join(' '))
        .join(', ')}`,
      remedy: `leave out --peer, or what sets ${name}`,
    });
  }
  const encoder = encoderSize(options);
  const { predictorDim: dim, predictorDepth: depth } = { ...method.automatic?.(options) };
  const { imageSize, patchSize, batchSize } = options;
  return {
    ...{ imageSize, patchSize, batchSize, steps },
    encoder,
    predictor: { dim, depth, heads: encoder.heads, mlpRatio: 4 },
    masks: method.benchmarks?.[config]?.masks,
  };
}

/**
 * Sees to it that there is something to time, before anything is timed.
 * @throws UserError if Python is not there, or has no PyTorch
 */
export function checkPeer(python: string): void {
  const { status, stderr } = runPython(python, ['-c', 'import torch']);
  if (status === 0) return;
  const reason = reasonOfPython(stderr) ?? `status ${status}`;
  throw new UserError(`PyTorch does not load in the Python ${python}: ${reason}`, { expected: NEEDED });
}

/**
 * Times a step in PyTorch, in each of its ways in a process of its own, and gives the fastest.
 * @param python the Python that has it
 * @throws UserError if it is not there, has no PyTorch, or fails
 */
export function timePeer(python: string, step: PeerStep, precision: Precision, threads: number) {
  const leftOut: { mode: string; reason: string }[] = [];
  const timed = MODES[precision].flatMap(({ mode, compile }, at) => {
    const outcome = runScript(python, threads, { ...step, precision, threads, compile });
    if (typeof outcome !== 'string') return [{ framework: 'PyTorch', precision, mode, ...outcome }];
    if (at === 0) {
      throw new UserError(`PyTorch's step failed: ${outcome}`, { expected: NEEDED });
    }
    leftOut.push({ mode, reason: outcome });
    return [];
  });
  const fastest = timed.reduce((best, each) => (each.secondsPerStep < best.secondsPerStep ? each : best));
  return { ...fastest, leftOut };
}

/** What the script measured, or why it failed. */
function runScript(python: string, threads: number, asked: object): z.infer<typeof resultSchema> | string {
  const { status, signal, stdout, stderr } = runPython(python, [SCRIPT, JSON.stringify(asked)], threads);
  if (status !== 0) return reasonOfPython(stderr) ?? `the process ended with ${signal ?? status}`;
  const result = resultSchema.safeParse(tryJson(stdout));
  return result.success ? result.data : `${python} did not print what was measured`;
}

/** @throws UserError if Python is not there, or has no PyTorch */
function runPython(python: string, args: readonly string[], threads = 1) {
  const env = { ...process.env, OMP_NUM_THREADS: String(threads) };
  const { error, ...ended } = spawnSync(python, args, { env, encoding: 'utf8', maxBuffer: 1e8 });
  if (error) {
    throw new UserError(`the Python ${python} ${systemProblem(error) ?? `cannot be started: ${error.message}`}`, {
      expected: 'a Python that has PyTorch',
      remedy: 'name one with --python PATH',
    });
  }
  if (/No module named 'torch'/.test(ended.stderr)) {
    throw new UserError(`the Python ${python} has no PyTorch`, {
      remedy: `install it with: ${python} -m pip install torch; or name another Python with --python PATH`,
    });
  }
  return ended;
}

/** The last error of a traceback, or the last line. */
function reasonOfPython(stderr: string): string | undefined {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '');
  const reason = lines.findLast((line) => /^[\w.]*(?:Error|Exception)\b/.test(line)) ?? lines.at(-1);
  return reason && printable(reason.trim(), 300);
}
