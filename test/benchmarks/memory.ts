import { startEngine } from '../../core/engine/start.js';
import { tf } from '../../core/engine/tf.js';
import { BENCHMARKS, runBenchmark } from '../../core/train/benchmark.js';
import { methodOf } from '../helpers/method.js';

/*
 * The memory of a long run, of which nothing may grow: `npm run bench:memory`. Prints the process's resident memory and the
 * number of tensors in every fifty of 500 steps of the benchmark `tiny`.
 */
const STEPS = 500;
const WINDOW = 50;

const memories: number[] = [];
const tensors = new Set<number>();
const describe = (from: number): { median: number; line: string } => {
  const window = memories.slice(from, from + WINDOW).sort((a, b) => a - b);
  const [least, median, most] = [window[0], window[window.length >> 1], window.at(-1)] as [number, number, number];
  return { median, line: `${least.toFixed(0)} to ${most.toFixed(0)} MiB, median ${median.toFixed(0)}` };
};

const engine = await startEngine('onnx');
const { definition, method, options } = methodOf({
  ...BENCHMARKS.tiny,
  predictorDim: 48,
  predictorDepth: 2,
  loss: 'smooth-l1',
});
await runBenchmark(engine, 'tiny', definition, method, options, STEPS, () => {
  memories.push(process.memoryUsage.rss() / 2 ** 20);
  tensors.add(tf.memory().numTensors);
});
const medians: number[] = [];
for (let from = 0; from + WINDOW <= memories.length; from += WINDOW) {
  const { median, line } = describe(from);
  medians.push(median);
  process.stdout.write(`steps ${String(from + 1).padStart(3)} to ${from + WINDOW}: ${line}\n`);
}
const growth = ((medians.at(-1) as number) / (medians[1] as number) - 1) * 100;
process.stdout.write(`growth of the median from the second fifty to the last: ${growth.toFixed(1)}%\n`);
process.stdout.write(`tensors after a step: ${[...tensors].join(', ')}\n`);
