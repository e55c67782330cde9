import { spawnSync } from 'node:child_process';
import { UserError, unknownName } from '../core/base/errors.js';
import { NONE } from '../core/config/option.js';
import { resolveOptions } from '../core/config/resolve.js';
import { ENGINE_NAMES, type EngineChoice } from '../core/engine/contract.js';
import { startEngine } from '../core/engine/start.js';
import { createMethod } from '../core/methods/create.js';
import type { MethodDefinition } from '../core/methods/method.js';
import { METHODS } from '../core/methods/registry.js';
import { selectPlugins } from '../core/plugins/selected.js';
import { BENCHMARKS, type BenchmarkResult, runBenchmark } from '../core/train/benchmark.js';
import type { BenchFlags } from './bench.js';
import { wholeNumber } from './numbers.js';
import { configuredPlugins } from './plugins.js';

/** Times the engines, each in a process of its own, so that none inherits another one's memory. */
export async function bench(flags: BenchFlags): Promise<void> {
  const engines = flags.engine.split(',').map((name) => name.trim());
  for (const name of engines) {
    if (name !== 'auto' && !(ENGINE_NAMES as readonly string[]).includes(name)) {
      throw unknownName('engine', name, [...ENGINE_NAMES, 'auto']);
    }
  }
  const steps = wholeNumber('--steps', flags.steps, 1) ?? 7;
  const threads = wholeNumber('--threads', flags.threads, 1);
  const micro = wholeNumber('--micro-batch-size', flags.microBatchSize, 1);
  const { loss, regularizer } = flags;
  const definition = METHODS[0] as MethodDefinition;
  const { options: own = {} } = definition.benchmarks?.[flags.config] ?? {};
  const { options } = resolveOptions({
    methods: METHODS,
    flags: { ...BENCHMARKS[flags.config], ...own, loss, regularizer, regularizerWeight: 1, microBatchSize: micro },
  });
  const { extensions } = selectPlugins(definition, options, await configuredPlugins());
  const results: BenchmarkResult[] = [];
  for (const name of engines) {
    if (engines.length > 1) results.push(...inOwnProcess(name, flags));
    else {
      const engine = await startEngine(name as EngineChoice, {
        device: flags.device,
        ...(threads !== null && { threads }),
      });
      const { method } = createMethod(definition, options, extensions);
      results.push(await runBenchmark(engine, flags.config, definition, method, options, steps));
    }
    if (!flags.json) process.stdout.write(`${describe(results.at(-1) as BenchmarkResult, flags)}\n`);
  }
  if (flags.json) process.stdout.write(`${JSON.stringify(results)}\n`);
}

function inOwnProcess(
  engine: string,
  { config, device, loss, regularizer, steps, threads, microBatchSize }: BenchFlags,
): BenchmarkResult[] {
  const given = { engine, config, device, loss, regularizer, steps, threads, 'micro-batch-size': microBatchSize };
  const args = ['bench', '--json'];
  for (const [name, value] of Object.entries(given)) if (value !== undefined) args.push(`--${name}`, String(value));
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

function describe(result: BenchmarkResult, { loss, regularizer }: BenchFlags): string {
  const { batchSize } = BENCHMARKS[result.config];
  const objective = regularizer === NONE ? loss : `${loss} + ${regularizer}`;
  return (
    `${result.engine} ${result.version}, ${result.device}, threads: ${result.threads}; ` +
    `config ${result.config}, batches of ${batchSize}, ${objective}\n` +
    `  step        ${result.secondsPerStep} s median, ${result.minSeconds} s fastest, ${result.imagesPerSecond} images/s\n` +
    `  first step  ${result.firstStepSeconds} s, with everything that is compiled once\n` +
    `  memory      ${result.peakMemoryMiB} MiB at its peak\n` +
    `  speed       ${result.gflops} GFLOPS`
  );
}
