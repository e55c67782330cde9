import { flag, grouped, integer, text, type ValuesOf, words } from '../../core/config/option.js';
import { ENCODER_OPTIONS, EXTRACTION_OPTIONS } from './evaluation.js';
import { argument } from './others.js';

/* Options of the pages that show runs. */

const { engine, device, precision, threads } = EXTRACTION_OPTIONS;
const ENGINE_OPTIONS = { encoder: ENCODER_OPTIONS.encoder, engine, device, precision, threads };

const RESULTS = words({
  what: 'paths',
  help: 'results.json and segmentation.json files, or folders to search for them, beside those in the folders of the runs',
});

export const REPORT_OPTIONS = {
  runs: words({
    help: 'the folders of runs, whose curves are drawn over one another; with --data also networks alone, whatever holds one',
    positional: true,
    required: true,
  }),
  out: text({ what: 'file', help: 'the HTML file to write', required: true }),
  data: words({
    what: 'data',
    help: 'pictures that networks alone are shown: folders, files, lists, or a data set; runs are shown their own',
  }),
  results: RESULTS,
  pictures: integer({ default: 16, min: 0, max: 64, help: 'images whose feature maps are shown' }),
  force: flag('replace a file that is there'),
  json: flag('print one JSON document; everything else goes to standard error'),
  ...grouped('Feature maps', ENGINE_OPTIONS),
};

export const WATCH_OPTIONS = {
  run: argument('folder', 'the folder of a run, which may be going on'),
  port: integer({
    default: 8321,
    min: 0,
    max: 65_535,
    help: 'where the page is served, on 127.0.0.1; 0: any port that is free',
  }),
  results: RESULTS,
  pictures: integer({
    default: 0,
    min: 0,
    max: 64,
    help: 'images whose feature maps are shown, by the newest checkpoint at the start; training has less of the machine meanwhile',
  }),
  json: flag('print one JSON document with the address, once the page is there'),
  ...grouped('Feature maps', ENGINE_OPTIONS),
};

export type ReportOptions = ValuesOf<typeof REPORT_OPTIONS>;
export type WatchOptions = ValuesOf<typeof WATCH_OPTIONS>;
