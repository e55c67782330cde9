import { resolve } from 'node:path';
import { CommanderError } from 'commander';
import { UserError } from '../core/base/errors.js';
import { PROGRAM } from '../core/base/program.js';
import { jobName, minutesOf, type SlurmJob, slurmScript } from '../core/run/slurm.js';
import { createCommand, defineCommand } from './command.js';
import { PRETRAIN_OPTIONS } from './options/others.js';
import type { SlurmOptions } from './options/slurm.js';
import { type ResolvedRun, readSources } from './run-sources.js';

/** What a word of a line for sbatch or srun may hold, so that it needs no quotes. */
const WORD = /^[\w.,:@+=/%-]+$/;

/** Prints the script of a run, whose options are read first as `pretrain` would read them. */
export async function printSlurmScript({ pretrain, json, ...asked }: SlurmOptions): Promise<void> {
  checkJob(asked);
  const { options, origins } = await resolvePretrain(pretrain);
  const { out, batchSize } = options;
  if (out === null) {
    throw new UserError('no folder for the run was named', {
      expected: '--out DIR among what follows --',
      remedy: 'add --out runs/first, for example',
    });
  }
  const ranks = asked.nodes * asked.ranksPerNode;
  if (batchSize < ranks) {
    throw new UserError(`a batch of ${batchSize} images is less than one for each of ${ranks} ranks`, {
      remedy: `use a --batch-size of ${ranks} or more, or fewer ranks`,
    });
  }
  // A run that goes on reads its own configuration, not that of the folder.
  const words = origins.out === 'flag' ? pretrain : ['--out', out, ...pretrain];
  const program = resolve(process.argv[1] ?? PROGRAM);
  const job: SlurmJob = { ...asked, words, out, folder: process.cwd(), program };
  const script = slurmScript(job);
  process.stdout.write(json ? `${JSON.stringify({ name: jobName(out), ranks, out, script })}\n` : script);
}

/** @throws UserError if Slurm would not take what it is told, or the signal came before the run could do anything */
function checkJob({
  time,
  signalMinutes,
  partition,
  account,
  pmi,
  sbatch,
}: Omit<SlurmOptions, 'pretrain' | 'json'>): void {
  const given = { partition, account, pmi };
  for (const [name, word] of Object.entries(given)) {
    if (word === null || WORD.test(word)) continue;
    throw new UserError(`--${name} cannot be ${JSON.stringify(word)}`, { expected: 'a name without blanks or quotes' });
  }
  for (const option of sbatch) {
    if (WORD.test(option) && !option.startsWith('-')) continue;
    throw new UserError(`--sbatch cannot be ${JSON.stringify(option)}`, {
      expected: 'options without their dashes, blanks or quotes, such as qos=long',
    });
  }
  const minutes = time === null ? Number.POSITIVE_INFINITY : minutesOf(time);
  if (minutes === null) {
    throw new UserError(`--time cannot be ${JSON.stringify(time)}`, {
      expected: 'MINUTES, HOURS:MINUTES:SECONDS, or DAYS-HOURS, such as 24:00:00',
    });
  }
  if (minutes <= signalMinutes) {
    throw new UserError(`--time ${time} is not longer than --signal-minutes ${signalMinutes}`, {
      expected: 'time to train before the run is told to save',
      remedy: 'use a longer --time or a smaller --signal-minutes',
    });
  }
}

/** @throws UserError for words that pretrain would refuse, or that the script adds where they are due */
async function resolvePretrain(words: readonly string[]): Promise<ResolvedRun> {
  let resolved: ResolvedRun | undefined;
  const definition = defineCommand({
    name: 'pretrain',
    summary: '',
    options: PRETRAIN_OPTIONS,
    hasRunOption: () => true,
    async run({ resume, force }, run) {
      if (resume || force) {
        throw new UserError(`${resume ? '--resume' : '--force'} cannot stand in a script that starts more than once`, {
          expected: 'the options of a new run; the script itself adds --resume where the run is there',
          remedy: 'leave it out; to start anew, delete the run before the script is submitted',
        });
      }
      resolved = run;
    },
  });
  const command = createCommand(definition, await readSources(words), () => {});
  command.exitOverride().configureOutput({ writeErr: () => {} });
  try {
    await command.parseAsync([...words], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError) || error.exitCode === 0) throw error;
    const [problem, ...advice] = error.message.replace(/^error: /, '').split('\n');
    throw new UserError(`what follows -- is not for pretrain: ${problem}`, {
      remedy: advice.join(' ').replace(/^\((.*)\)$/, '$1') || `see ${PROGRAM} pretrain --help`,
    });
  }
  if (!resolved) throw new Error('pretrain did not read its options');
  return resolved;
}
