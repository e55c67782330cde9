import { grouped, integer, number, text, type ValuesOf, words } from '../../core/config/option.js';
import { JSON_DOCUMENT } from './others.js';

export const SLURM_OPTIONS = {
  pretrain: words({
    what: 'words',
    help: 'what would follow `ijepa pretrain`, after --',
    positional: true,
    required: true,
  }),
  json: JSON_DOCUMENT,
  ...grouped('Machines', {
    nodes: integer({ default: 1, min: 1, help: 'machines' }),
    ranksPerNode: integer({ default: 1, min: 1, help: 'processes on each' }),
    cores: integer({ min: 1, help: 'cores of each process', automatic: 'whole machines, whose cores they share' }),
    partition: text({ what: 'name', optional: true, help: 'where the job is queued' }),
    account: text({ what: 'name', optional: true, help: 'whose time it takes' }),
  }),
  ...grouped('Time', {
    time: text({
      what: 'limit',
      help: '24:00:00, or 2-12 for two and a half days',
      automatic: 'that of the partition',
    }),
    signalMinutes: number({
      default: 5,
      min: 0,
      open: true,
      max: 1000,
      unit: 'minutes',
      help: 'how long before the limit the run is told to save',
    }),
  }),
  ...grouped('Slurm', {
    pmi: text({
      what: 'name',
      help: 'how processes find one another: pmix, pmi2, or what else `srun --mpi=list` tells',
      automatic: 'as the cluster has it',
    }),
    sbatch: words({
      what: 'options',
      spaced: true,
      help: 'further options of sbatch, without their dashes: qos=long gpus-per-node=1',
    }),
  }),
};

export type SlurmOptions = ValuesOf<typeof SLURM_OPTIONS>;
