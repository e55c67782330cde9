import { Command, Option as Flag } from 'commander';
import { NONE } from '../core/config/option.js';
import { DEVICES, type DeviceName, ENGINE_NAMES } from '../core/engine/contract.js';

/** `ijepa bench` */
export function benchCommand(): Command {
  return new Command('bench')
    .summary('time the training step')
    .description(
      'Time the whole training step on random data: seconds a step, images a second, compile time, memory and speed.',
    )
    .addOption(
      new Flag('--engine <names>', `one or several, with commas: ${ENGINE_NAMES.join(', ')}, auto`).default('auto'),
    )
    .addOption(
      new Flag('--config <size>', 'a: ViT-S/16 at 224 px; b: ViT-Ti/8 at 96 px; tiny: 4 blocks of 96 at 64 px')
        .choices(['tiny', 'a', 'b'])
        .default('b'),
    )
    .addOption(new Flag('--device <name>', 'what the engine onnx computes on').choices([...DEVICES]).default('cpu'))
    .option('--loss <name>', "distance of predicted and target representations, a plugin's too", 'smooth-l1')
    .option('--regularizer <name>', "term against collapse, a plugin's too", NONE)
    .option('--steps <n>', 'steps that are timed, after two that are not', '7')
    .option('--threads <n>', 'threads that compute at the same time (default: the cores that the process may use)')
    .option('--micro-batch-size <n>', 'images computed at once (default: the whole batch)')
    .option('--json', 'print one JSON document')
    .action(async (flags: BenchFlags) => {
      const { bench } = await import('./bench-run.js');
      await bench(flags);
    });
}

/** What the command line said. */
export interface BenchFlags {
  engine: string;
  config: 'tiny' | 'a' | 'b';
  device: DeviceName;
  loss: string;
  regularizer: string;
  steps: string;
  threads?: string;
  microBatchSize?: string;
  json?: boolean;
}
