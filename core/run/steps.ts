import { type Advice, UserError } from '../base/errors.js';
import { mapValues } from '../base/map-values.js';
import { microBatchSizeOf, ratesAt } from '../config/settings.js';
import { cropSettings } from '../data/crop.js';
import { type LoaderSettings, loadBatches, stepsPerEpoch, type ViewBatch } from '../data/loader.js';
import { isAbort } from '../data/skipped.js';
import { drawBatch, meanPatches, viewSides } from '../methods/batch.js';
import { gatherJson, requireSame, SharedError } from '../train/communicator/ranks.js';
import { groupsOfImages, shareOf } from '../train/parts.js';
import type { TrainState } from '../train/state.js';
import { prepareStep, type TrainStep } from '../train/step.js';
import type { StopSignal } from './interrupt.js';
import type { Training } from './prepare.js';

/** An image that could not be read, and why. */
type Unreadable = readonly [name: string, reason: string];

/** What ranks tell one another before a step. */
interface News {
  /** The signal that asked this rank to stop. */
  stop: StopSignal['received'];
  unreadable: readonly Unreadable[];
  /** Why this rank cannot read its images. */
  failure: { problem: string; advice: Advice } | null;
  /** Rank 0 saves after the step. */
  isSaved: boolean;
  /** Norm of the weights: it is the same on all ranks, or they have come to train different models. */
  weightNorm: number;
}

const UNLIKE_HOSTS: Advice = {
  expected: 'hosts that compute the same bits: the same processors and programs',
  remedy: 'go on with --resume --shard-optimiser: then each weight is updated by one rank alone',
};

/** What a rank knows before a step. */
interface Ready extends Pick<News, 'stop' | 'unreadable' | 'isSaved'> {
  /** Of its own images; null where a rank was asked to stop. */
  batch: ViewBatch | null;
  /** How long it waited for its own images. */
  waitSeconds: number;
}

export type Steps = ReturnType<typeof prepareSteps>;

/**
 * The steps of a run, as each of its ranks takes them: it reads its images of a batch, hears of the others whether they can
 * go on, and takes the step with them.
 * @param firstStep steps that were done before
 * @param wrap what is to be said of a step that fails
 */
export function prepareSteps(
  training: Training,
  stop: StopSignal,
  firstStep: number,
  wrap: (step: TrainStep) => TrainStep = (step) => step,
) {
  const { options, method, images, engine, ranks, shards } = training;
  const { batchSize, seed, epochs } = options;
  const epochSteps = stepsPerEpoch(images.length, batchSize);
  const totalSteps = epochs * epochSteps;
  const length = { stepsPerEpoch: epochSteps, epochs, scheduleStretch: options.scheduleStretch };
  const share = shareOf(batchSize, ranks);
  const takeStep = wrap(
    prepareStep(
      engine,
      method,
      training.optimiser,
      {
        sides: viewSides(method, options.imageSize),
        microBatchSize: microBatchSizeOf(options),
        recompute: options.recompute,
        seed,
        wire: options.wire,
        shards,
      },
      ranks,
    ),
  );
  const loading: LoaderSettings = {
    ...options,
    ...cropSettings(options),
    views: method.views,
    share,
    aheadBytes: options.aheadMegabytes * 1e6,
    signal: stop.aborted,
  };
  let weightNorm = 0;
  let unreadable: Unreadable[] = [];
  const list = { add: (name: string, reason: string) => void unreadable.push([name, reason]) };
  const batches = loadBatches(images, loading, list, firstStep, totalSteps);
  return {
    epochSteps,
    totalSteps,

    /**
     * Reads the images of the next step.
     * @param isSaved whether rank 0 saves after it
     * @throws on every rank at the same time, where one of them cannot read its images
     */
    async read(isSaved: boolean): Promise<Ready> {
      ranks.phase('reading images');
      const started = performance.now();
      let problem: unknown = null;
      const reading = stop.received ? null : batches.next();
      const next = await reading?.catch((error: unknown) => {
        if (!stop.received || !isAbort(error)) problem = error; // it is asked to stop while they are waited for
        return null;
      });
      const waitSeconds = (performance.now() - started) / 1000;
      ranks.phase('waiting');
      if (ranks.size === 1 && problem !== null) throw problem;
      const failure = failureOf(problem);
      const news = { stop: stop.received, unreadable, failure, isSaved, weightNorm };
      const all = await gatherJson<News>(ranks, news);
      ranks.phase('computing');
      unreadable = [];
      const failed = all.findIndex(({ failure }) => failure !== null);
      const failing = all[failed]?.failure;
      if (failing) throw new SharedError(`${ranks.names[failed]}: ${failing.problem}`, failing.advice);
      requireSame(ranks, 'weights any more', all, ({ weightNorm }) => `those of norm ${weightNorm}`, UNLIKE_HOSTS);
      const told = {
        stop: all.map(({ stop }) => stop).find((signal) => signal !== null) ?? null,
        unreadable: all.flatMap(({ unreadable }) => unreadable),
        isSaved: all[0].isSaved,
        waitSeconds,
      };
      if (told.stop) return { ...told, batch: null };
      if (!next || next.done) throw new Error('there are no more batches');
      return { ...told, batch: next.value };
    },

    /** Takes the next step with what was read for it. */
    async take(state: TrainState, batch: ViewBatch) {
      const step = state.step + 1;
      const drawn = drawBatch(method, seed, step, batchSize);
      const rates = { ...ratesAt(step, options, length), ...mapValues(method.rates, (rate) => rate(step, length)) };
      const groups = groupsOfImages(drawn.groups, ...share);
      const taken = await takeStep(state, { views: batch, groups, total: batchSize }, rates);
      weightNorm = taken.weightNorm;
      return { ...taken, rates, drawn, patches: meanPatches(drawn.groups), epoch: Math.ceil(step / epochSteps) };
    },

    /**
     * What a checkpoint holds, on rank 0: the state with what the others keep of it, and what engines remember of shapes, on
     * each rank something else, as their images have other masks. Called by all ranks; `received` is disposed of when it is saved.
     */
    async forSaving(state: TrainState) {
      const own = engine.history?.save();
      const isOne = ranks.size === 1 || own === undefined;
      const history: unknown = isOne ? own : { ranks: await gatherJson(ranks, own) };
      return { history, ...(shards ? await shards.whole(state) : { state, received: [] }) };
    },

    /** Ends reading. */
    async close(): Promise<void> {
      await batches.return(undefined);
    },
  };
}

function failureOf(error: unknown): News['failure'] {
  if (error === null) return null;
  const problem = error instanceof Error ? error.message : String(error);
  return { problem, advice: error instanceof UserError ? error.advice : {} };
}
