import { Command } from 'commander';
import { readNumber } from '../core/config/option.js';
import { addEvaluationFlags, type EvaluationFlags, type ProtocolFlag } from './evaluation-options.js';

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
    .option('--fraction <x>', 'part of each class that is taken at random where there is no list', readNumber, 0.01);
  addEvaluationFlags(command, FEW_LABELS)
    .optionsGroup('Fine-tuning (default: as in its protocol, paper / small):')
    .option('--epochs <n>', 'of fine-tuning (50 / 50)', readNumber)
    .option('--warmup-epochs <n>', 'of them, in which the learning rate rises from 0 (5 / 5)', readNumber)
    .option(
      '--train-batch-size <n>',
      'images a step; all of them where there are fewer (512 / 256, or a sixteenth of small data)',
      readNumber,
    )
    .option('--learning-rate <x>', 'of a step of so many images; in proportion less of fewer (3e-5 / 1e-3)', readNumber)
    .option('--weight-decay <x>', 'of matrices (0.05, from ViT-H on 0.4 / 0.05)', readNumber)
    .option('--layer-decay <x>', 'factor of the learning rate from a layer to the one below (0.75 / 0.75)', readNumber)
    .option('--label-smoothing <x>', 'part of the target that all classes share (0.1 / 0)', readNumber)
    .option('--rand-augment <name>', "timm's name, or none (rand-m9-mstd0.5-inc1 / none)")
    .option('--micro-batch-size <n>', 'images that are computed at once (default: as many as fit)', readNumber);
  return command.action(async (checkpoint: string, flags: FinetuneFlags) => {
    const { runFinetune } = await import('./finetune-1pct-run.js');
    finish(await runFinetune(checkpoint, flags));
  });
}

/** What `--protocol` means here. */
const FEW_LABELS: ProtocolFlag = {
  names: ['paper', 'small', 'quick'],
  help:
    "paper: the paper's heads and fine-tuning (A.2); small, or quick: the same heads, trained on decorrelated features " +
    'in a short time, and fine-tuning for small data and encoders (default: small below 10,000 training images)',
};

export type FinetuneFlags = Omit<EvaluationFlags, 'protocol'> & {
  protocol?: 'paper' | 'small' | 'quick';
  data: string;
  subset?: string;
  fraction: unknown;
  epochs?: unknown;
  warmupEpochs?: unknown;
  trainBatchSize?: unknown;
  learningRate?: unknown;
  weightDecay?: unknown;
  layerDecay?: unknown;
  labelSmoothing?: unknown;
  randAugment?: string;
  microBatchSize?: unknown;
};
