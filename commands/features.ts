import { Command, Option as Flag } from 'commander';
import { readNumber } from '../core/config/option.js';
import { ENGINE_NAMES, type EngineChoice } from '../core/engine/contract.js';

/** `ijepa features CHECKPOINT DATA` */
export function featuresCommand(): Command {
  return new Command('features')
    .summary('write the features that an encoder gives to images')
    .description(
      'Run images through a frozen encoder and write what it makes of them: the average of its patch tokens, a row for ' +
        'each image, with labels and names.',
    )
    .argument('<checkpoint>', 'a checkpoint (.safetensors), or the folder of a run, whose newest one is taken')
    .argument('<data>', 'a data set (NAME or NAME:DIR), or a folder of images without labels')
    .requiredOption('--out <file>', '.safetensors: features, labels and names in one file; .npy: a file for each')
    .option(
      '--encoder <name>',
      'which encoder, by its name in the checkpoint (default: the one by which its method is judged)',
    )
    .addOption(
      new Flag('--layers <name>', 'features of the last layer, or of the last four side by side')
        .choices(['last', 'last-4'])
        .default('last'),
    )
    .addOption(new Flag('--split <name>', 'part of a labelled data set (default: train)').choices(['train', 'test']))
    .addOption(
      new Flag(
        '--transform <name>',
        'crop: part of an image in its proportions; squash: all of it as a square (default: as the data set has it, or crop)',
      ).choices(['crop', 'squash']),
    )
    .option('--views <n>', 'random crops and flips of each image, instead of its middle', numberOrWord)
    .option('--seed <n>', 'seed of the random views', numberOrWord, 0)
    .option('--image-size <n>', 'side of the images, in pixels (default: as in pretraining)', numberOrWord)
    .option('--batch-size <n>', 'images computed at once', numberOrWord, 16)
    .addOption(
      new Flag('--engine <name>', 'what computes').choices(['auto', ...ENGINE_NAMES]).default('auto' as EngineChoice),
    )
    .option(
      '--threads <n>',
      'threads that compute at the same time (default: the cores that may be used)',
      numberOrWord,
    )
    .option('--cache <folder>', 'keep features there: an interrupted run goes on, a repeated one computes nothing')
    .option('--cache-limit <n>', 'MB that the folder may take; the rest is computed each time', numberOrWord)
    .option('--max-unreadable <x>', 'part of the images that may be unreadable; they get no row', numberOrWord, 0)
    .option('--max-megapixels <x>', 'larger images count as unreadable', numberOrWord, 100)
    .option('--force', 'replace files that are there')
    .option('--json', 'print one JSON document')
    .action(async (checkpoint: string, data: string, flags: FeaturesFlags) => {
      const { runFeatures } = await import('./features-run.js');
      await runFeatures(checkpoint, data, flags);
    });
}

/** What the command line said; numbers are not checked yet. */
export interface FeaturesFlags {
  out: string;
  encoder?: string;
  layers: 'last' | 'last-4';
  split?: 'train' | 'test';
  transform?: 'crop' | 'squash';
  views?: unknown;
  seed: unknown;
  imageSize?: unknown;
  batchSize: unknown;
  engine: EngineChoice;
  threads?: unknown;
  cache?: string;
  cacheLimit?: unknown;
  maxUnreadable: unknown;
  maxMegapixels: unknown;
  force?: boolean;
  json?: boolean;
}

function numberOrWord(word: string): unknown {
  return readNumber(word);
}
