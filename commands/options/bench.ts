import { UserError } from '../../core/base/errors.js';
import {
  choice,
  flag,
  flagOf,
  grouped,
  integer,
  like,
  named,
  type Option,
  text,
  type ValuesOf,
  words,
} from '../../core/config/option.js';
import { OPTIONS } from '../../core/config/schema.js';
import { METHODS } from '../../core/methods/registry.js';
import type { BenchmarkName } from '../../core/train/benchmark.js';
import { JSON_DOCUMENT } from './others.js';

/** The sizes that core/train/benchmark.ts has. */
const BENCHMARK_NAMES = ['tiny', 'a', 'b'] as const satisfies readonly BenchmarkName[];
const LOADING = 'Loading of images';
const STEP = 'Training step';
export const PEER = 'PyTorch beside it';
export const MODEL = 'More ranks, predicted';

export const BENCH_OPTIONS = {
  threads: { ...OPTIONS.threads, group: '', help: 'threads that compute, or decode' },
  json: JSON_DOCUMENT,
  ...grouped(STEP, {
    method: { ...OPTIONS.method, default: METHODS[0]?.name ?? '', choices: METHODS.map(({ name }) => name) },
    config: choice({
      choices: BENCHMARK_NAMES,
      default: 'b',
      help: 'a: ViT-S/16 at 224 px; b: ViT-Ti/8 at 96 px; tiny: 4 blocks of 96 at 64 px',
    }),
    engine: words({
      choices: OPTIONS.engine.choices as readonly (typeof OPTIONS.engine.default)[],
      default: ['auto'],
      help: 'one or several, with commas between',
    }),
    device: OPTIONS.device,
    precision: OPTIONS.precision,
    loss: named({
      what: 'a loss',
      help: 'distance of predicted and target representations, of methods that have one: --set loss=NAME',
      automatic: 'smooth-l1',
    }),
    regularizer: named({
      what: 'a regularizer',
      help: 'term against collapse, of methods that have one: --set regularizer=NAME',
      optional: true,
    }),
    set: words({
      what: 'name=value',
      help: "the run's options, by the names that they have in files: decoderDepth=4,ema=0.99",
    }),
    drawnMasks: flag('draw masks anew for each step, as a run does, instead of fixed ones of equal sizes'),
    steps: integer({ default: 7, min: 1, help: 'steps that are timed, after two that are not' }),
    wire: OPTIONS.wire,
    mpi: OPTIONS.mpi,
    rankTimeout: OPTIONS.rankTimeout,
    microBatchSize: like(OPTIONS.microBatchSize, { help: 'images computed at once', automatic: 'the whole batch' }),
  }),
  ...grouped(PEER, {
    peer: flag("time I-JEPA's step in PyTorch as well, right after ours, and print the ratio"),
    python: text({ what: 'path', default: 'python3', help: 'the Python that has PyTorch' }),
    pairs: integer({ default: 1, min: 1, help: 'how often the two are timed in turn' }),
  }),
  ...grouped(MODEL, {
    ranks: words({ what: 'numbers', help: 'predict the step on so many ranks, from the one that was timed: 1,2,4,16' }),
    modelNetwork: words({
      what: 'Gbit,µs',
      help: 'what joins them: Gbit/s of each rank, and microseconds of a message',
    }),
  }),
  ...grouped(LOADING, {
    data: words({ what: 'data', spaced: true, help: 'folders of images, lists, shards, or the name of a data set' }),
    batchSize: { ...OPTIONS.batchSize, min: 1, help: 'images a batch' },
    imageSize: { ...OPTIONS.imageSize, help: 'side of the crops' },
    batches: integer({ default: 30, min: 1, help: 'batches that are timed, after three that are not' }),
  }),
};

export type BenchOptions = ValuesOf<typeof BENCH_OPTIONS>;

/** The options of a benchmark that are not at their defaults. */
export function givenOptions(options: BenchOptions): [keyof BenchOptions, Option<unknown>][] {
  const all = Object.entries(BENCH_OPTIONS) as [keyof BenchOptions, Option<unknown>][];
  return all.filter(([name, option]) => JSON.stringify(options[name]) !== JSON.stringify(option.default));
}

/**
 * Sees to it that options are about the measurement that is asked for.
 * @throws UserError for one that says nothing to it
 */
export function requireOneMeasurement(options: BenchOptions): void {
  if (options.peer && options.drawnMasks) {
    throw new UserError('--peer times a step with fixed masks, --drawn-masks one with others each time', {
      remedy: 'leave one of the two out',
    });
  }
  if (options.ranks.length === 0 || options.modelNetwork.length === 0) {
    const lonely = givenOptions(options).find(([, { group }]) => group === MODEL);
    const needed = options.ranks.length === 0 ? '--ranks 1,2,4' : '--model-network 10,30';
    if (lonely)
      throw new UserError(`${flagOf(...lonely)} needs ${needed.split(' ')[0]}`, {
        remedy: `add ${needed}, for example`,
      });
  }
  const hasData = options.data.length > 0;
  const unneeded = hasData ? [STEP, PEER, MODEL] : options.peer ? [LOADING] : [LOADING, PEER];
  const useless = givenOptions(options).find(([, { group }]) => unneeded.includes(group ?? ''));
  if (!useless) return;
  const flag = flagOf(...useless);
  if (hasData) {
    const problem = `${flag} is about the training step, --data about loading images`;
    throw new UserError(problem, { remedy: 'leave one of the two out' });
  }
  const [needed, value] = useless[1].group === PEER ? ['--peer', ''] : ['--data', ' DIR'];
  throw new UserError(`${flag} needs ${needed}`, { remedy: `add ${needed}${value}, or leave it out` });
}
