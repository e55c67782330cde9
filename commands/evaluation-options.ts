import { type Command, Option as Flag } from 'commander';
import { UserError, unknownName } from '../core/base/errors.js';
import { readNumber } from '../core/config/option.js';
import { DEVICES, type DeviceName, ENGINE_NAMES, type EngineChoice } from '../core/engine/contract.js';
import { SELECTIONS, type Selection } from '../core/eval/protocols.js';

/** What the command line of an evaluation said; numbers are not checked yet. */
export interface EvaluationFlags {
  protocol?: 'paper' | 'quick';
  select?: Selection;
  views?: unknown;
  encoder?: string;
  imageSize?: unknown;
  batchSize: unknown;
  seed: unknown;
  baseline: boolean;
  engine: EngineChoice;
  device: DeviceName;
  threads?: unknown;
  out?: string;
  formats?: string;
  cache?: string;
  cacheLimit?: unknown;
  maxUnreadable: unknown;
  maxMegapixels: unknown;
  json?: boolean;
}

export const FORMATS = ['csv', 'markdown', 'latex'] as const;
export type Format = (typeof FORMATS)[number];

/** What `--protocol` may be, and what that means. */
export interface ProtocolFlag {
  names: readonly string[];
  help: string;
}

const HEADS: ProtocolFlag = {
  names: ['paper', 'quick'],
  help:
    "paper: the paper's schedule, by VISSL's rules; quick: the same heads, trained on decorrelated features in a short time " +
    '(default: quick below 100,000 training images)',
};

/** Adds the flags that all evaluations have. */
export function addEvaluationFlags(command: Command, protocol: ProtocolFlag = HEADS): Command {
  return command
    .optionsGroup('Protocol:')
    .addOption(new Flag('--protocol <name>', protocol.help).choices(protocol.names))
    .addOption(
      new Flag(
        '--select <images>',
        'on what the best head is chosen. validation: a held-out tenth of the training images; test: the test images, as ' +
          'the paper does (default: test with paper, validation with quick)',
      ).choices([...SELECTIONS]),
    )
    .option(
      '--views <n>',
      'random views of each training image, one an epoch in turn; 0: its middle (default: an epoch each with paper, 0 with quick)',
      readNumber,
    )
    .option(
      '--encoder <name>',
      'which encoder is judged, by its name in the checkpoint (default: the one by which its method is judged)',
    )
    .option('--image-size <n>', 'side of the images, in pixels (default: as in pretraining)', readNumber)
    .option('--seed <n>', 'seed of heads, views and intervals', readNumber, 0)
    .option('--no-baseline', 'leave out the same network at random initialisation')
    .optionsGroup('Results:')
    .option('--out <folder>', 'write results.json and chart.png there (results that are there stay), and keep features')
    .option('--formats <names>', `write the tables there as well: ${FORMATS.join(', ')}, with commas between`)
    .option('--json', 'print one JSON document; everything else goes to standard error')
    .optionsGroup('Running:')
    .addOption(
      new Flag('--engine <name>', 'what computes').choices(['auto', ...ENGINE_NAMES]).default('auto' as EngineChoice),
    )
    .addOption(new Flag('--device <name>', 'what the engine onnx computes on').choices([...DEVICES]).default('cpu'))
    .option('--threads <n>', 'threads that compute at the same time (default: the cores that may be used)', readNumber)
    .option('--batch-size <n>', 'images whose features are computed at once', readNumber, 16)
    .option('--cache <folder>', 'keep features there (default: features in --out): what was computed is not again')
    .option('--cache-limit <n>', 'MB that the folder may take; the rest is computed each time', readNumber)
    .option('--max-unreadable <x>', 'part of the images that may be unreadable; they are left out', readNumber, 0)
    .option('--max-megapixels <x>', 'larger images count as unreadable', readNumber, 100);
}

/** 'csv,latex' -> ['csv', 'latex'] */
export function readFormats(flags: Pick<EvaluationFlags, 'formats' | 'out'>): Format[] {
  if (flags.formats === undefined) return [];
  if (flags.out === undefined) {
    throw new UserError('--formats names files, but no folder for them was named', { remedy: 'add --out DIR' });
  }
  return flags.formats.split(',').map((word) => {
    const format = FORMATS.find((name) => name === word.trim());
    if (!format) throw unknownName('format', word.trim(), FORMATS);
    return format;
  });
}
