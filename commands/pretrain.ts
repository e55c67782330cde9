import { Command } from 'commander';
import { addOptionFlags, type Flags, resolveFlags } from './options.js';

/** `ijepa pretrain DATA...` */
export function pretrainCommand(finish: (exitCode: number) => void): Command {
  const command = new Command('pretrain')
    .summary('learn from pictures')
    .description(
      'Learn representations from pictures without labels: trains a context encoder, a predictor and a target encoder.',
    )
    .argument(
      '[data...]',
      'folders of images (any depth), lists of image files (.txt), shards (.tar, of a server too), or the name of a data set: shapes[:count]',
    )
    .optionsGroup('Run:')
    .option('--resume', 'go on with the run in --out from its newest checkpoint')
    .option('--force', 'delete the run in --out and start anew')
    .option('--json', 'end with one JSON document on standard output; everything else goes to standard error');
  return addOptionFlags(command).action(
    async (data: string[], flags: Flags & { resume?: boolean; force?: boolean; json?: boolean }) => {
      const { runPretrain } = await import('./pretrain-run.js');
      // A run that goes on has its own options; those of the current folder are for new runs.
      finish(await runPretrain(await resolveFlags(flags, data, !flags.resume), flags));
    },
  );
}
