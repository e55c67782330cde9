import { flag, grouped, integer, text, type ValuesOf, words } from '../../core/config/option.js';
import { EXTRACTION_OPTIONS } from './evaluation.js';

/* Options of commands that use what an encoder, or a head on it, has learned. */

const { engine, device, precision, threads, batchSize, maxUnreadable, maxMegapixels, mpi, rankTimeout } =
  EXTRACTION_OPTIONS;
const RUNNING_OPTIONS = {
  engine,
  device,
  precision,
  threads,
  batchSize,
  maxUnreadable,
  maxMegapixels,
  mpi,
  rankTimeout,
};
const JSON_AT_END = flag('print one JSON document; everything else goes to standard error');

const ENCODER_OPTIONS = grouped('Encoder', {
  checkpoint: text({
    what: 'path',
    help: 'where the checkpoint of a file of features or a head lies now; of images, what computes their features',
    automatic: 'where it lay when the file was written; of images, builtin:drawings',
  }),
  encoder: text({
    what: 'name',
    help: 'which encoder of --checkpoint',
    automatic: 'the one by which its method is judged',
  }),
});

export const SEARCH_OPTIONS = {
  query: words({
    help: 'image files, folders of them, or names of images in the file of features',
    positional: true,
    required: true,
  }),
  in: text({
    what: 'file or data',
    help: 'features to search, as `ijepa features` wrote them (.safetensors); or images, whose features are computed for this search: a folder, a list, a data set',
    required: true,
  }),
  top: integer({ default: 8, min: 1, help: 'how many of the most similar images are told' }),
  ...grouped('Picture', {
    out: text({ optional: true, what: 'file', help: 'draw queries and what was found as this PNG' }),
    data: text({
      what: 'data set',
      help: 'where the images of the file lie now, for the drawing',
      automatic: 'where they lay when the file was written',
    }),
    force: flag('replace a file that is there'),
  }),
  json: JSON_AT_END,
  ...ENCODER_OPTIONS,
  ...RUNNING_OPTIONS,
};

export const PREDICT_OPTIONS = {
  probe: text({
    what: 'path',
    help: 'the folder that `ijepa probe` was given as --out, or one of the heads in it (.safetensors); or builtin:drawings, which comes with the program',
    positional: true,
    required: true,
  }),
  images: words({
    help: 'image files, folders of them, lists, or a data set',
    positional: true,
    required: true,
  }),
  top: integer({ default: 5, min: 1, help: 'how many of the most probable classes are told' }),
  json: JSON_AT_END,
  ...ENCODER_OPTIONS,
  ...RUNNING_OPTIONS,
};

export type PredictOptions = ValuesOf<typeof PREDICT_OPTIONS>;
export type SearchOptions = ValuesOf<typeof SEARCH_OPTIONS>;
