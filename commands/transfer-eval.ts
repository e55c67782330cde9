import { Command } from 'commander';
import { addEvaluationFlags, type EvaluationFlags } from './evaluation-options.js';

/** The data sets of the paper's transfer table, in its order. */
export const TRANSFER_DATA_SETS = ['cifar100', 'places205', 'inat18', 'clevr-count', 'clevr-dist'] as const;

/** `ijepa transfer-eval CHECKPOINT... --data-root DIR` */
export function transferEvalCommand(finish: (exitCode: number) => void): Command {
  const command = new Command('transfer-eval')
    .summary("judge encoders on the paper's transfer tasks")
    .description(
      "Train linear heads on the frozen features of one or several encoders, on every data set of the paper's transfer " +
        'table that is found below a folder. Those that are not are listed with where to get them.',
    )
    .argument('<checkpoints...>', 'checkpoints (.safetensors) or folders of runs, each a row of the table')
    .requiredOption('--data-root <folder>', 'where the data sets lie, each in a folder of its own or all in one')
    .option('--datasets <names>', 'which, with commas between', TRANSFER_DATA_SETS.join(','));
  return addEvaluationFlags(command).action(async (checkpoints: string[], flags: TransferFlags) => {
    const { runTransferEval } = await import('./transfer-eval-run.js');
    finish(await runTransferEval(checkpoints, flags));
  });
}

export type TransferFlags = EvaluationFlags & { dataRoot: string; datasets: string };
