import { defineCommand } from './command.js';
import { SLURM_OPTIONS } from './options/slurm.js';

export const SLURM_COMMAND = defineCommand({
  name: 'slurm',
  summary: 'print the batch script of a run on a cluster',
  description:
    'Print a script for sbatch that pretrains on one or many machines, saves before its time limit, and goes on when it ' +
    'starts again. What follows -- is what would follow `ijepa pretrain`, and is checked as pretrain does.',
  options: SLURM_OPTIONS,
  run: async (options) => (await import('./slurm-run.js')).printSlurmScript(options),
});
