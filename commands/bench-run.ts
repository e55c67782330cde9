import { spawnSync } from 'node:child_process';
import { UserError } from '../core/base/errors.js';
import { findMethod } from '../core/config/choose-method.js';
import { flagOf, formatValue } from '../core/config/option.js';
import { resolveOptions } from '../core/config/resolve.js';
import { startEngine } from '../core/engine/start.js';
import { createMethod } from '../core/methods/create.js';
import { selectPlugins } from '../core/plugins/plugin.js';
import { BENCHMARKS, type BenchmarkResult, runBenchmark } from '../core/train/benchmark.js';
import { type BenchOptions, givenOptions } from './options/others.js';
import { configuredPlugins, methodsOf } from './plugins.js';
import type { ResolvedRun } from './run-sources.js';

/** Times the engines, each in a process of its own, so that none inherits another one's memory. */
export async function benchEngines(asked: BenchOptions): Promise<void> {
  const { engine: names, config, device, threads, steps, json } = asked;
  const plugins = await configuredPlugins();
  const resolved = optionsOf(asked, methodsOf(plugins));
  const { method: definition, options } = resolved;
  const { extensions } = selectPlugins(definition, options, plugins);
  const results: BenchmarkResult[] = [];
  for (const name of names) {
    if (names.length > 1) results.push(...inOwnProcess({ ...asked, engine: [name], json: true }));
    else {
      const engine = await startEngine(name, { device, ...(threads !== null && { threads }) });
      const { method } = createMethod(definition, options, extensions);
      results.push(await runBenchmark(engine, config, definition, method, options, steps));
    }
    if (!json) process.stdout.write(`${describe(results.at(-1) as BenchmarkResult, resolved)}\n`);
  }
  if (json) process.stdout.write(`${JSON.stringify(results)}\n`);
}

/** The options of the run whose step is timed: those of the benchmark, what its method has for it, and what was set. */
function optionsOf(asked: BenchOptions, methods: readonly ResolvedRun['method'][]): ResolvedRun {
  const { method, config, set, loss, regularizer, microBatchSize } = asked;
  const { options } = findMethod(methods, method, '').benchmarks?.[config] ?? {};
  const named = { method, ...(loss !== null && { loss }), ...(regularizer !== null && { regularizer }) };
  const own = { ...BENCHMARKS[config], ...options, microBatchSize, ...named };
  return resolveOptions({ methods, flags: { ...own, ...Object.fromEntries(set.map(readSetting)) } });
}

/** 'name=value' */
function readSetting(word: string): [string, string] {
  const at = word.indexOf('=');
  if (at > 0) return [word.slice(0, at), word.slice(at + 1)];
  throw new UserError(`--set cannot be '${word}'`, {
    expected: 'NAME=VALUE, with the name that the option has in files',
  });
}

function inOwnProcess(asked: BenchOptions): BenchmarkResult[] {
  const args = givenOptions(asked).flatMap(([name, option]) =>
    option.kind === 'flag' ? [flagOf(name, option)] : [flagOf(name, option), formatValue(option, asked[name])],
  );
  const { status, stdout, stderr } = spawnSync(process.execPath, [process.argv[1], 'bench', ...args], {
    encoding: 'utf8',
    maxBuffer: 1e8,
  });
  if (status !== 0) {
    const said = stderr.trim().replace(/^ijepa: /, '') || `the process ended with ${status}`;
    throw new UserError(`the benchmark of ${asked.engine.join()} failed: ${said}`);
  }
  return JSON.parse(stdout) as BenchmarkResult[];
}

function describe(result: BenchmarkResult, { method, options }: ResolvedRun): string {
  const { engine, version, device, threads, config } = result;
  return (
    `${engine} ${version}, ${device}, threads: ${threads}; ` +
    `config ${config}, batches of ${options.batchSize}, ${method.title}: ${method.describe(options)}\n` +
    `  step        ${result.secondsPerStep} s median, ${result.minSeconds} s fastest, ${result.imagesPerSecond} images/s\n` +
    `  first step  ${result.firstStepSeconds} s, with everything that is compiled once\n` +
    `  memory      ${result.peakMemoryMiB} MiB at its peak\n` +
    `  speed       ${result.gflops} GFLOPS`
  );
}
