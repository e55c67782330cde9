import { Command } from 'commander';
import { addEvaluationFlags, type EvaluationFlags } from './evaluation-options.js';

/** `ijepa probe CHECKPOINT --data DATA` */
export function probeCommand(finish: (exitCode: number) => void): Command {
  const command = new Command('probe')
    .summary('judge what an encoder has learned by linear heads and nearest neighbours')
    .description(
      "Train the protocol's linear heads on the frozen features of an encoder, and count its nearest neighbours, beside " +
        'the same network at random initialisation.',
    )
    .argument('<checkpoint>', 'a checkpoint (.safetensors), or the folder of a run, whose newest one is taken')
    .requiredOption('--data <data>', 'a folder with {train,val}/CLASS below it, or a data set: NAME or NAME:DIR');
  return addEvaluationFlags(command).action(async (checkpoint: string, flags: EvaluationFlags & { data: string }) => {
    const { runProbe } = await import('./probe-run.js');
    finish(await runProbe(checkpoint, flags));
  });
}
