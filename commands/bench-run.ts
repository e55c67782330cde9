import { spawnSync } from 'node:child_process';
import { NONE, readNumber } from '../core/config/option.js';
import { ENGINE_NAMES, type EngineChoice } from '../core/engine/contract.js';
import { startEngine } from '../core/engine/start.js';
import { UserError, unknownName } from '../core/errors.js';
import { choose } from '../core/plugins/chosen.js';
import { BENCHMARKS, type BenchmarkResult, runBenchmark } from '../core/train/benchmark.js';
import type { BenchFlags } from './bench.js';
import { configuredPlugins } from './plugins.js';

/** Times the engines, each in a process of its own, so that none inherits another one's memory. */
export async function bench(flags: BenchFlags): Promise<void> {
  const engines = flags.engine.split(',').map((name) => name.trim());
  for (const name of engines) {
    if (name !== 'auto' && !(ENGINE_NAMES as readonly string[]).includes(name)) {
      throw unknownName('engine', name, [...ENGINE_NAMES, 'auto']);
    }
  }
  const steps = wholeNumber('--steps', flags.steps);
  const threads = flags.threads === undefined ? undefined : wholeNumber('--threads', flags.threads);
  const micro = flags.microBatchSize === undefined ? null : wholeNumber('--micro-batch-size', flags.microBatchSize);
  const { loss, regularizer } = flags;
  const terms = choose({ loss, regularizer, monitors: [] }, await configuredPlugins());
  const results: BenchmarkResult[] = [];
  for (const name of engines) {
    if (engines.length > 1) results.push(...inOwnProcess(name, flags));
    else {
      const engine = await startEngine(name as EngineChoice, {
        device: flags.device,
        ...(threads !== undefined && { threads }),
      });
      results.push(await runBenchmark(engine, flags.config, terms, steps, micro));
    }
    if (!flags.json) process.stdout.write(`${describe(results.at(-1) as BenchmarkResult)}\n`);
  }
  if (flags.json) process.stdout.write(`${JSON.stringify(results)}\n`);
}

function inOwnProcess(
  engine: string,
  { config, device, loss, regularizer, steps, threads, microBatchSize }: BenchFlags,
): BenchmarkResult[] {
  const args = ['bench', '--engine', engine, '--config', config, '--device', device, '--steps', steps, '--json'];
  args.push('--loss', loss, '--regularizer', regularizer);
  if (threads !== undefined) args.push('--threads', threads);
  if (microBatchSize !== undefined) args.push('--micro-batch-size', microBatchSize);
  const { status, stdout, stderr } = spawnSync(process.execPath, [process.argv[1] as string, ...args], {
    encoding: 'utf8',
    maxBuffer: 1e8,
  });
  if (status !== 0) {
    const said = stderr.trim().replace(/^ijepa: /, '') || `the process ended with ${status}`;
    throw new UserError(`the benchmark of ${engine} failed: ${said}`);
  }
  return JSON.parse(stdout) as BenchmarkResult[];
}

function describe(result: BenchmarkResult): string {
  const { batchSize } = BENCHMARKS[result.config];
  const objective = result.regularizer === NONE ? `, ${result.loss}` : `, ${result.loss} + ${result.regularizer}`;
  return (
    `${result.engine} ${result.version}, ${result.device}, threads: ${result.threads}; ` +
    `config ${result.config}, batches of ${batchSize}${objective}\n` +
    `  step        ${result.secondsPerStep} s median, ${result.minSeconds} s fastest, ${result.imagesPerSecond} images/s\n` +
    `  first step  ${result.firstStepSeconds} s, with everything that is compiled once\n` +
    `  memory      ${result.peakMemoryMiB} MiB at its peak\n` +
    `  speed       ${result.gflops} GFLOPS`
  );
}

function wholeNumber(flag: string, word: string): number {
  const value = readNumber(word);
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1) return value;
  throw new UserError(`${flag} cannot be ${word}`, { expected: 'a whole number from 1' });
}
