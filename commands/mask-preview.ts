import { Command } from 'commander';
import { type Option, readNumber } from '../core/config/option.js';
import { addOptionFlags, type Flags, resolveFlags } from './options.js';

/** Options beside those of methods that decide masks and crops. */
const NAMES = ['method', 'imageSize', 'patchSize', 'batchSize', 'seed', 'cropScale', 'cropAspect'];

/** `ijepa mask-preview [images...]` */
export function maskPreviewCommand(): Command {
  const command = new Command('mask-preview')
    .summary('draw the masks of a run as a picture')
    .description(
      'Draw what the context encoder sees and what is to be predicted: a row for each picture, and how often each patch is ' +
        'context or target over 1,000 images. Without images, those of the configuration are shown as training cuts them.',
    )
    .argument('[images...]', 'image files (a row each), or folders, lists and data sets (some of their images)')
    .optionsGroup('Picture:')
    .requiredOption('--out <file>', 'the PNG to write')
    .option('--samples <n>', 'rows; image files are used in turn', '4')
    .option('--step <n>', 'the training step whose masks are shown, from 1', '1')
    .option('--force', 'replace a file that is there');
  const isShown = (name: string, { group }: Option<unknown>) => group === 'Masks' || NAMES.includes(name);
  return addOptionFlags(command, isShown).action(async (images: string[], flags: PreviewFlags) => {
    const { runMaskPreview } = await import('./mask-preview-run.js');
    const { out, ...options } = flags;
    const asked = {
      out,
      samples: readNumber(flags.samples),
      step: readNumber(flags.step),
      force: flags.force === true,
    };
    await runMaskPreview(await resolveFlags(options, []), images, asked);
  });
}

type PreviewFlags = Flags & { out: string; samples: string; step: string; force?: boolean };
