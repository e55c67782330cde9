import { defineCommand } from './command.js';
import { BENCH_OPTIONS, requireOneMeasurement } from './options/bench.js';

export const BENCH_COMMAND = defineCommand({
  name: 'bench',
  summary: 'time the training step, or the loading of images',
  description:
    'Time the whole training step on random data: seconds a step, images a second, compile time, memory and speed. ' +
    'With --peer, time the same step in PyTorch beside it. ' +
    'With --data, time loading and cropping images instead: images and processor time a second, memory.',
  options: BENCH_OPTIONS,
  async run(options) {
    requireOneMeasurement(options);
    if (options.data.length > 0) return (await import('./bench-data-run.js')).benchData(options);
    return (await import('./bench-run.js')).benchEngines(options);
  },
});
