import { defineCommand } from './command.js';
import { SWEEP_OPTIONS } from './options/sweep.js';

export const SWEEP_COMMAND = defineCommand({
  name: 'sweep',
  summary: 'try many values of options, and judge what comes of each',
  description:
    "Train with every combination of a grid, or with values drawn at random, of any of pretrain's options, with several " +
    'seeds each, and judge what was learned on held-out images, beside random weights and raw pixels.',
  options: SWEEP_OPTIONS,
  run: async (options) => (await import('./sweep-run.js')).runSweep(options),
});
