import { flag, grouped, like, text, words } from '../../core/config/option.js';
import { OPTIONS } from '../../core/config/schema.js';

/*
 * Options that several commands have. Those that runs have too are theirs, with another help or default where it must be.
 */

export const JSON_DOCUMENT = flag('print one JSON document');
export const JSON_AT_END = flag(
  'end with one JSON document on standard output; everything else goes to standard error',
);

export const DATA_SET_NAME = text({
  what: 'name',
  help: 'the name of a data set; `ijepa data` lists them',
  positional: true,
  required: true,
});
export const CHECKPOINT = text({
  help: 'a checkpoint (.safetensors), or the folder of a run, whose newest one is taken',
  what: 'path',
  positional: true,
  required: true,
});
export const CHECKPOINTS = words({
  help: 'checkpoints (.safetensors) or folders of runs, each a row of the table',
  positional: true,
  required: true,
});
export const LABELLED_DATA = text({
  what: 'data set',
  help: 'a folder with {train,val}/CLASS below it, or a data set: NAME or NAME:DIR',
  required: true,
});

/** Which features of an encoder are judged. */
export const ENCODER_OPTIONS = {
  encoder: text({
    what: 'name',
    help: 'which encoder, by its name in the checkpoint',
    automatic: 'the one by which its method is judged',
  }),
  imageSize: like(OPTIONS.imageSize, { help: 'side of the images', automatic: 'as in pretraining' }),
};

/** How features are computed. */
export const EXTRACTION_OPTIONS = grouped('Running', {
  engine: OPTIONS.engine,
  device: OPTIONS.device,
  threads: OPTIONS.threads,
  batchSize: { ...OPTIONS.batchSize, min: 1, default: 16, help: 'images whose features are computed at once' },
  cache: text({
    optional: true,
    what: 'folder',
    help: 'keep features there: an interrupted call goes on, a repeated one computes nothing',
  }),
  cacheLimit: like(OPTIONS.aheadMegabytes, {
    help: 'what that folder may take; the rest is computed each time',
    automatic: 'as much as there is room',
  }),
  maxUnreadable: {
    ...OPTIONS.maxUnreadable,
    default: 0,
    help: 'part of the images that may be unreadable; they are left out',
  },
  maxMegapixels: OPTIONS.maxMegapixels,
});
