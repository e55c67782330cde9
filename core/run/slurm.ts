import { basename, resolve } from 'node:path';
import { quote } from '../base/console.js';
import { PROGRAM, programVersion } from '../base/program.js';
import { runFolder } from './run-folder.js';

/** A run as a job of Slurm. */
export interface SlurmJob {
  /** What follows `pretrain`, and the run's folder, which is named in it. */
  words: readonly string[];
  out: string;
  /** Where the run is started; paths are seen from there. */
  folder: string;
  /** The program, as a script that Node runs. */
  program: string;
  nodes: number;
  ranksPerNode: number;
  /** For each rank; null: whole nodes, whose cores the ranks share. */
  cores: number | null;
  /** The limit, as Slurm writes it; null: that of the partition. */
  time: string | null;
  partition: string | null;
  account: string | null;
  /** How long before the limit the run is told to save. */
  signalMinutes: number;
  /** How ranks find one another, as `srun --mpi` names it; null: as the cluster has it. */
  pmi: string | null;
  /** Further options of sbatch, without their dashes. */
  sbatch: readonly string[];
}

/**
 * The batch script of a job. Before its time limit the ranks save, and the job is put into the queue again, where it goes on
 * with the run; with other codes than that of a saved run it ends.
 */
export function slurmScript(job: SlurmJob): string {
  const { words, out, folder, program, nodes, ranksPerNode } = job;
  return `#!/bin/bash
# ${PROGRAM} ${programVersion()}, ranks: ${nodes * ranksPerNode}; started by sbatch
${directives(job)
  .map((directive) => `#SBATCH --${directive}\n`)
  .join('')}
set -u
cd -- ${quote(folder)} || exit 1
set -- ${words.map(quote).join(' ')}
if [ -e ${quote(runFolder(out).config)} ]; then
  set -- --resume "$@"
fi
srun ${launch(job)} node ${quote(program)} pretrain "$@"
code=$?
# 143: the time limit is near, and everything is saved
if [ "$code" -eq 143 ] && scontrol requeue "$SLURM_JOB_ID"; then
  exit 0
fi
exit "$code"
`;
}

/** A job's name: that of the run's folder, in characters that Slurm takes as they are. */
export function jobName(out: string): string {
  const words = basename(resolve(out)).split(/[^\p{L}\p{N}._-]+/u);
  return words.filter((word) => word !== '').join('-') || PROGRAM;
}

/** The minutes of a time limit, in one of Slurm's forms; null where it is none. */
export function minutesOf(time: string): number | null {
  const forms = [
    /^(?<minutes>\d+)(?::(?<seconds>\d+))?$/,
    /^(?<hours>\d+):(?<minutes>\d+):(?<seconds>\d+)$/,
    /^(?<days>\d+)-(?<hours>\d+)(?::(?<minutes>\d+)(?::(?<seconds>\d+))?)?$/,
  ];
  const parts = forms.map((form) => form.exec(time)?.groups).find((groups) => groups);
  if (!parts) return null;
  const { days = 0, hours = 0, minutes = 0, seconds = 0 } = parts;
  return (Number(days) * 24 + Number(hours)) * 60 + Number(minutes) + Number(seconds) / 60;
}

/** What sbatch is told. The signal goes to the processes that srun starts, not to the script. */
function directives({ out, nodes, ranksPerNode, cores, time, partition, account, ...job }: SlurmJob): string[] {
  const name = jobName(out);
  return [
    `job-name=${name}`,
    `output=${name}-%j.out`,
    'open-mode=append',
    `nodes=${nodes}`,
    `ntasks-per-node=${ranksPerNode}`,
    ...(cores === null ? ['exclusive', 'mem=0'] : [`cpus-per-task=${cores}`]),
    ...(time === null ? [] : [`time=${time}`]),
    ...(partition === null ? [] : [`partition=${partition}`]),
    ...(account === null ? [] : [`account=${account}`]),
    `signal=TERM@${Math.round(job.signalMinutes * 60)}`,
    'requeue',
    ...job.sbatch,
  ];
}

/** What srun is told; it takes the cores of a rank from nowhere else. */
function launch({ cores, ranksPerNode, pmi }: SlurmJob): string {
  const own = cores ?? (ranksPerNode === 1 ? '"$SLURM_CPUS_ON_NODE"' : `"$((SLURM_CPUS_ON_NODE / ${ranksPerNode}))"`);
  return `--kill-on-bad-exit=1 --cpus-per-task=${own}${pmi === null ? '' : ` --mpi=${pmi}`}`;
}
