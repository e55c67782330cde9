import { Command } from 'commander';
import { readNumber } from '../core/config/option.js';
import { addEvaluationFlags, type EvaluationFlags } from './evaluation-options.js';

/** `ijepa finetune-1pct CHECKPOINT --data DATA` */
export function finetuneCommand(finish: (exitCode: number) => void): Command {
  const command = new Command('finetune-1pct')
    .summary('judge an encoder with few labels: fine-tuning and linear heads')
    .description(
      'Fine-tune the whole encoder on a small part of the labels, and train linear heads on the same images; the better ' +
        'of the two is what the paper reports, and both are shown.',
    )
    .argument('<checkpoint>', 'a checkpoint (.safetensors), or the folder of a run, whose newest one is taken')
    .requiredOption('--data <data>', 'a folder with {train,val}/CLASS below it, or a data set: NAME or NAME:DIR')
    .option('--subset <file>', 'the training images: a text file with one image name a line, as the published 1% list')
    .option('--fraction <x>', 'part of each class that is taken at random where there is no list', readNumber, 0.01)
    .option('--epochs <n>', 'of fine-tuning (default: 50, as the paper)', readNumber)
    .option('--train-batch-size <n>', 'images a step of fine-tuning (default: 256)', readNumber)
    .option('--micro-batch-size <n>', 'images of it that are computed at once (default: as many as fit)', readNumber);
  return addEvaluationFlags(command).action(async (checkpoint: string, flags: FinetuneFlags) => {
    const { runFinetune } = await import('./finetune-1pct-run.js');
    finish(await runFinetune(checkpoint, flags));
  });
}

export type FinetuneFlags = EvaluationFlags & {
  data: string;
  subset?: string;
  fraction: unknown;
  epochs?: unknown;
  trainBatchSize?: unknown;
  microBatchSize?: unknown;
};
