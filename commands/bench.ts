import { Command, Option as Flag } from 'commander';
import { UserError } from '../core/base/errors.js';
import { NONE, readNumber } from '../core/config/option.js';
import { DEVICES, type DeviceName, ENGINE_NAMES } from '../core/engine/contract.js';

/** `ijepa bench` */
export function benchCommand(): Command {
  const command = new Command('bench')
    .summary('time the training step, or the loading of images')
    .description(
      'Time the whole training step on random data: seconds a step, images a second, compile time, memory and speed. ' +
        'With --data, time loading and cropping images instead: images and processor time a second, memory.',
    )
    .option('--threads <n>', 'threads that compute, or decode (default: the cores that may be used)', readNumber)
    .option('--json', 'print one JSON document')
    .optionsGroup('Training step:')
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
    .option('--steps <n>', 'steps that are timed, after two that are not', readNumber, 7)
    .option('--micro-batch-size <n>', 'images computed at once (default: the whole batch)', readNumber)
    .optionsGroup('Loading of images:')
    .option('--data <data...>', 'folders of images, lists, shards, or the name of a data set')
    .option('--batch-size <n>', 'images a batch (default: 64)', readNumber)
    .option('--image-size <n>', 'side of the crops, in pixels (default: 224)', readNumber)
    .option('--batches <n>', 'batches that are timed, after three that are not (default: 30)', readNumber);
  return command.action(async (flags: BenchFlags) => {
    const isGiven = (name: string) => command.getOptionValueSource(name) === 'cli';
    refuseUseless((flags.data ? STEP_FLAGS : LOADING_FLAGS).filter(isGiven), flags.data !== undefined);
    if (flags.data) {
      const { benchData } = await import('./bench-data-run.js');
      await benchData(flags.data, flags);
    } else {
      const { bench } = await import('./bench-run.js');
      await bench(flags);
    }
  });
}

function refuseUseless([name]: readonly string[], hasData: boolean): void {
  if (name === undefined) return;
  const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  throw new UserError(
    hasData ? `${flag} is about the training step, --data about loading images` : `${flag} needs --data`,
    { remedy: hasData ? 'leave one of the two out' : 'add --data DIR, or leave it out' },
  );
}

/** Flags of one of the two measurements, which say nothing to the other. */
const STEP_FLAGS = ['engine', 'config', 'device', 'loss', 'regularizer', 'steps', 'microBatchSize'] as const;
const LOADING_FLAGS = ['batchSize', 'imageSize', 'batches'] as const;

/** What the command line said; numbers are not checked yet. */
export interface BenchFlags {
  threads?: unknown;
  json?: boolean;
  engine: string;
  config: 'tiny' | 'a' | 'b';
  device: DeviceName;
  loss: string;
  regularizer: string;
  steps: unknown;
  microBatchSize?: unknown;
  data?: string[];
  batchSize?: unknown;
  imageSize?: unknown;
  batches?: unknown;
}
