import { spawnSync } from 'node:child_process';
import { formatBytes } from '../core/base/console.js';
import { UserError } from '../core/base/errors.js';
import { round } from '../core/base/rounding.js';
import { findMethod } from '../core/config/choose-method.js';
import { flagOf, formatValue } from '../core/config/option.js';
import { resolveOptions } from '../core/config/resolve.js';
import { startEngine } from '../core/engine/start.js';
import { createMethod } from '../core/methods/create.js';
import type { MethodContext } from '../core/methods/method.js';
import { selectPlugins } from '../core/plugins/plugin.js';
import { BENCHMARKS, type BenchmarkResult, runBenchmark } from '../core/train/benchmark.js';
import { type Ranks, SharedError, threadsOf } from '../core/train/communicator/ranks.js';
import { checkPeer, type PeerResult, peerStep, timePeer } from './bench-peer.js';
import { describeScaling, predictScaling, readScaling } from './bench-scaling.js';
import { type BenchOptions, givenOptions, MODEL, PEER } from './options/bench.js';
import { configuredPlugins, methodsOf } from './plugins.js';
import { inRanks } from './ranks.js';
import type { ResolvedRun } from './run-sources.js';

/** What was measured; with PyTorch's step beside it, images a second in units of PyTorch's, and their median over all pairs. */
type Measured = BenchmarkResult & {
  peer?: PeerResult;
  ratio?: number;
  medianRatio?: number;
  scaling?: Awaited<ReturnType<typeof predictScaling>>;
};

/**
 * Times the engines, each in a process of its own, so that none inherits another one's memory; with `peer`, the same step in
 * PyTorch right after each, on as many threads.
 */
export function benchEngines(asked: BenchOptions): Promise<number> {
  const { mpi, rankTimeout } = asked;
  return inRanks({ mpi, rankTimeout }, async (ranks) => {
    await timeEngines(asked, ranks);
    return 0;
  });
}

async function timeEngines(asked: BenchOptions, ranks: Ranks): Promise<void> {
  const { engine: names, config, precision, steps, json, peer, python, pairs } = asked;
  const scaling = readScaling(asked);
  if (scaling && ranks.size > 1) {
    throw new SharedError('--ranks predicts from a step that one rank takes alone', {
      remedy: 'start the program without a launcher, or leave out --ranks and --model-network',
    });
  }
  const plugins = await configuredPlugins();
  const resolved = optionsOf(asked, methodsOf(plugins));
  const { extensions } = selectPlugins(resolved.method, resolved.options, plugins);
  const step = peer ? peerStep(resolved, config, steps) : null;
  if (step) checkPeer(python);
  const isSilent = json || ranks.rank > 0;
  const say = (text: string) => isSilent || process.stdout.write(`${text}\n`);
  const results: Measured[] = [];
  for (const name of Array<typeof names>(pairs).fill(names).flat()) {
    const one = { ...asked, engine: [name] };
    const result: Measured =
      names.length > 1 || step ? inOwnProcess(one) : await timeEngine(one, resolved, extensions, ranks);
    results.push(result);
    say(describe(result, resolved));
    if (scaling) {
      result.scaling = await predictScaling(result, resolved.options.batchSize, scaling);
      say(describeScaling(result.scaling, scaling.ranks));
    }
    if (!step) continue;
    result.peer = timePeer(python, step, precision, result.threads);
    result.ratio = round(result.imagesPerSecond / result.peer.imagesPerSecond, 3);
    say(describePeer(result.peer, result.ratio));
  }
  if (step) for (const result of results) result.medianRatio = medianRatio(results, result.engine);
  for (const { engine, medianRatio } of pairs > 1 ? results.slice(0, names.length) : []) {
    say(`${engine}: ${medianRatio} times PyTorch's images a second, the median of ${pairs} pairs`);
  }
  if (json && ranks.rank === 0) process.stdout.write(`${JSON.stringify(results)}\n`);
}

async function timeEngine(
  { engine: [name], config, device, precision, threads, steps, drawnMasks }: BenchOptions,
  { method: definition, options }: ResolvedRun,
  extensions: MethodContext['extensions'],
  ranks: Ranks,
): Promise<BenchmarkResult> {
  const own = threads ?? threadsOf(ranks);
  const engine = await startEngine(name, { device, precision, threads: own });
  const { method } = createMethod(definition, options, extensions);
  return runBenchmark(engine, config, definition, method, options, steps, { drawnMasks, ranks });
}

function medianRatio(results: readonly Measured[], engine: string): number {
  const ratios = results.filter((result) => result.engine === engine).map(({ ratio }) => ratio as number);
  ratios.sort((a, b) => a - b);
  return round((ratios[(ratios.length - 1) >> 1] + ratios[ratios.length >> 1]) / 2, 3);
}

/** The options of the run whose step is timed: those of the benchmark, what its method has for it, and what was set. */
function optionsOf(asked: BenchOptions, methods: readonly ResolvedRun['method'][]): ResolvedRun {
  const { method, config, set, loss, regularizer, microBatchSize, wire } = asked;
  const { options } = findMethod(methods, method, '').benchmarks?.[config] ?? {};
  const named = { method, ...(loss !== null && { loss }), ...(regularizer !== null && { regularizer }) };
  const own = { ...BENCHMARKS[config], ...options, microBatchSize, wire, ...named };
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

function inOwnProcess(asked: BenchOptions): BenchmarkResult {
  const own = givenOptions({ ...asked, json: true }).filter(([, { group }]) => group !== PEER && group !== MODEL);
  const args = own.flatMap(([name, option]) =>
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
  const [result] = JSON.parse(stdout) as [BenchmarkResult];
  return result;
}

function describe(result: BenchmarkResult, { method, options }: ResolvedRun): string {
  const { engine, version, device, threads, config } = result;
  return (
    `${engine} ${version}, ${device}, threads: ${threads}; ` +
    `config ${config}, batches of ${options.batchSize}, ${method.title}: ${method.describe(options)}\n` +
    `  step        ${result.secondsPerStep} s median, ${result.meanSeconds} s mean, ${result.minSeconds} s fastest, ${result.imagesPerSecond} images/s\n` +
    `  first step  ${result.firstStepSeconds} s, with everything that is compiled once\n` +
    (result.ranks > 1 ? describeExchange(result) : '') +
    `  memory      ${result.peakMemoryMiB} MiB at its peak\n` +
    `  speed       ${result.gflops} GFLOPS`
  );
}

function describeExchange({ ranks, exchangedBytes, exchangeSeconds }: BenchmarkResult): string {
  return `  ranks       ${ranks}; of a step ${exchangeSeconds} s of exchange and waiting, ${formatBytes(exchangedBytes)} sent by this one\n`;
}

function describePeer({ version, precision, mode, leftOut, ...timed }: PeerResult, ratio: number): string {
  const { secondsPerStep, imagesPerSecond, peakMemoryMiB } = timed;
  const figures = `${secondsPerStep} s median, ${imagesPerSecond} images/s, ${peakMemoryMiB} MiB`;
  return [
    ...leftOut.map(({ mode, reason }) => `  left out    PyTorch, ${mode}: ${reason}`),
    `  peer        PyTorch ${version}, ${precision}, ${mode}: ${figures}`,
    `  ratio       ${ratio} times PyTorch's images a second`,
  ].join('\n');
}
