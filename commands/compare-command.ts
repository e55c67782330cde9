import { defineCommand } from './command.js';
import { COMPARE_OPTIONS } from './options/compare.js';

export const COMPARE_COMMAND = defineCommand({
  name: 'compare',
  summary: 'train several methods alike, and judge them side by side',
  description:
    'Train several methods on the same images with the same backbone for the same time, with several seeds each, and ' +
    'judge what they have learned on held-out images, beside random weights and raw pixels. A comparison that was stopped ' +
    'goes on by the same command.',
  options: COMPARE_OPTIONS,
  run: async (options) => (await import('./compare-run.js')).runCompare(options),
});
