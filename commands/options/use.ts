import { flag, grouped, integer, text, type ValuesOf, words } from '../../core/config/option.js';
import { OPTIONS } from '../../core/config/schema.js';
import { EXTRACTION_OPTIONS } from './evaluation.js';

/* What is done with features and heads. */

export const SEARCH_OPTIONS = {
  queries: words({ help: 'pictures, or names in the file of features', positional: true, required: true }),
  in: text({
    what: 'file',
    help: 'features of the pictures to search, as `ijepa features` wrote them',
    required: true,
  }),
  top: integer({ default: 5, min: 1, max: 100, help: 'how many are shown of each' }),
  checkpoint: text({
    what: 'path',
    help: 'the encoder of the features',
    automatic: 'where it was when they were written',
  }),
  out: text({ optional: true, what: 'file', help: 'draw them there, as PNG' }),
  force: flag('replace a picture that is there'),
  json: flag('print one JSON document; everything else goes to standard error'),
  ...grouped('Running', {
    engine: OPTIONS.engine,
    device: OPTIONS.device,
    precision: OPTIONS.precision,
    threads: OPTIONS.threads,
    batchSize: EXTRACTION_OPTIONS.batchSize,
    maxUnreadable: EXTRACTION_OPTIONS.maxUnreadable,
    maxMegapixels: OPTIONS.maxMegapixels,
  }),
};

export type SearchOptions = ValuesOf<typeof SEARCH_OPTIONS>;
