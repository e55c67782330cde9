import { flag, grouped, integer, like, text, type ValuesOf, words } from '../../core/config/option.js';
import { OPTIONS } from '../../core/config/schema.js';
import { CPU_SMALL } from '../../core/methods/shared.js';

const { imageSize, patchSize, dim, depth, heads, batchSize } = CPU_SMALL;

/** What a comparison is asked for: it is the same whenever it goes on, so that --out alone is enough then. */
export const COMPARED_OPTIONS = {
  ...grouped('Comparison', {
    methods: words({ help: 'methods, with commas between; `ijepa methods` lists all' }),
    data: text({
      optional: true,
      what: 'data set',
      help:
        'a folder with {train,val}/CLASS below it, or a data set: NAME or NAME:ARGUMENT; runs learn from its training ' +
        'images without their labels',
    }),
    budget: text({
      optional: true,
      what: 'time',
      help:
        'training time of each run: 90s, 30m, 1h30m; steps of each method are timed first, and every run of it is as many ' +
        'whole epochs as fit',
    }),
    epochs: like(OPTIONS.epochs, {
      optional: true,
      help: 'passes over the data of each run, in the place of a budget',
    }),
    seeds: integer({ min: 1, help: 'runs of each method, with seeds from 0', automatic: '3' }),
  }),
  ...grouped('Model', {
    imageSize: like(OPTIONS.imageSize, { automatic: String(imageSize) }),
    patchSize: like(OPTIONS.patchSize, { automatic: String(patchSize) }),
    dim: like(OPTIONS.dim, { automatic: String(dim) }),
    depth: like(OPTIONS.depth, { automatic: String(depth) }),
    heads: like(OPTIONS.heads, { automatic: String(heads) }),
    batchSize: like(OPTIONS.batchSize, { automatic: String(batchSize) }),
  }),
};

export const COMPARE_OPTIONS = {
  ...COMPARED_OPTIONS,
  ...grouped('Comparison', {
    out: text({
      what: 'folder',
      required: true,
      help: 'where the runs, compare.json, compare.md and compare.png are kept; with it alone a comparison goes on',
    }),
    json: flag('print one JSON document; everything else goes to standard error'),
  }),
  ...grouped('Running', {
    engine: OPTIONS.engine,
    device: OPTIONS.device,
    precision: OPTIONS.precision,
    threads: OPTIONS.threads,
    memory: OPTIONS.memory,
    decodeThreads: OPTIONS.decodeThreads,
    maxUnreadable: OPTIONS.maxUnreadable,
    maxMegapixels: OPTIONS.maxMegapixels,
  }),
};

export type CompareOptions = ValuesOf<typeof COMPARE_OPTIONS>;
