import type { EngineName, Precision } from '../../core/engine/contract.js';
import { startEngine } from '../../core/engine/start.js';
import { tf } from '../../core/engine/tf.js';
import { METHODS } from '../../core/methods/registry.js';
import { BENCHMARKS, type BenchmarkName, runBenchmark } from '../../core/train/benchmark.js';
import { methodOf } from '../helpers/method.js';

/*
 * The memory of a long run, of which nothing may grow: `npm run bench:memory`. Prints the process's resident memory and the
 * number of tensors in every fifty of 500 steps of the benchmark `tiny`, whose masks are drawn anew for each step, and how long
 * they took: compiling shows there. `-- openvino bfloat16 b` names another engine, precision and benchmark.
 */
const [name = 'onnx', precision = 'float32', config = 'tiny'] = process.argv.slice(2) as [
  EngineName?,
  Precision?,
  BenchmarkName?,
];
const STEPS = 500;
const WINDOW = 50;

const memories: number[] = [];
const seconds: number[] = [];
const tensors = new Set<number>();
const mean = (numbers: readonly number[]) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
const describe = (from: number): { median: number; line: string } => {
  const times = seconds.slice(from, from + WINDOW);
  const window = memories.slice(from, from + WINDOW).sort((a, b) => a - b);
  const [least, median, most] = [window[0], window[window.length >> 1], window.at(-1)] as [number, number, number];
  return {
    median,
    line: `${least.toFixed(0)} to ${most.toFixed(0)} MiB, median ${median.toFixed(0)}; ${mean(times).toFixed(3)} s a step, ${Math.max(...times).toFixed(3)} s the slowest`,
  };
};

const engine = await startEngine(name, { precision });
const ijepa = METHODS.find((known) => known.name === 'ijepa');
const { definition, method, options } = methodOf({ ...BENCHMARKS[config], ...ijepa?.benchmarks?.[config]?.options });
let before = performance.now();
function afterStep() {
  memories.push(process.memoryUsage.rss() / 2 ** 20);
  seconds.push((performance.now() - before) / 1000);
  tensors.add(tf.memory().numTensors);
  before = performance.now();
}
await runBenchmark(engine, config, definition, method, options, STEPS, { drawnMasks: true, afterStep });
const medians: number[] = [];
for (let from = 0; from + WINDOW <= memories.length; from += WINDOW) {
  const { median, line } = describe(from);
  medians.push(median);
  process.stdout.write(`steps ${String(from + 1).padStart(3)} to ${from + WINDOW}: ${line}\n`);
}
const growth = ((medians.at(-1) as number) / (medians[1] as number) - 1) * 100;
process.stdout.write(`growth of the median from the second fifty to the last: ${growth.toFixed(1)}%\n`);
process.stdout.write(`tensors after a step: ${[...tensors].join(', ')}\n`);
