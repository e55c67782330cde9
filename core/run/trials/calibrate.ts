import { setImmediate } from 'node:timers/promises';
import { type Console, formatDuration, readDuration } from '../../base/console.js';
import { UserError } from '../../base/errors.js';
import type { ResolvedOptions } from '../../config/resolve.js';
import { stepsPerEpoch } from '../../data/loader.js';
import { tf } from '../../engine/tf.js';
import { checkMethodOptions } from '../../methods/create.js';
import type { MethodDefinition } from '../../methods/method.js';
import { type Plugin, selectPlugins } from '../../plugins/plugin.js';
import { ALONE } from '../../train/communicator/ranks.js';
import { initialState } from '../../train/state.js';
import type { StopSignal } from '../interrupt.js';
import { prepareTraining } from '../prepare.js';
import { prepareSteps } from '../steps.js';

/** Steps that are left out, in which engines compile and caches fill, and those that are timed. */
const WARM_UP = 4;
const TIMED = 12;
/** How often the steps of each run are timed, in turns: the shortest time counts, which other work on the machine hides least. */
const CALIBRATIONS = 2;
/** Epochs that a run which is only timed has. */
export const TIMED_EPOCHS = 100;
/** Seconds after which no further step is timed. */
const PATIENCE = 20;

/**
 * Seconds of a training step: the median of a few, with reading its images, as a run's log counts them. Nothing is kept.
 * @returns null where it was asked to stop
 * @throws UserError as a run would
 */
async function calibrate(
  resolved: ResolvedOptions<MethodDefinition>,
  plugins: readonly Plugin[],
  stop: StopSignal,
): Promise<number | null> {
  const training = await prepare(resolved, plugins);
  let state = initialState(training.method, training.optimiser.slotNames, resolved.options.seed);
  const steps = prepareSteps(training, stop, 0);
  const seconds: number[] = [];
  const started = performance.now();
  try {
    while (state.step < Math.min(steps.totalSteps, WARM_UP + TIMED)) {
      const asked = performance.now();
      const { batch } = await steps.read(false);
      if (!batch) return null;
      ({ state } = await steps.take(state, batch));
      seconds.push((performance.now() - asked) / 1000);
      await setImmediate(); // lets signals in
      if (seconds.length > WARM_UP && performance.now() - started > PATIENCE * 1000) break;
    }
  } finally {
    await steps.close();
    tf.dispose(state);
    training.method.dispose();
    await training.engine.free?.(); // the next method compiles other functions
  }
  return median(seconds.length > WARM_UP ? seconds.slice(WARM_UP) : seconds);
}

/**
 * Seconds of a training step of several runs, which are timed in turns.
 * @returns by their names; null where it was asked to stop
 * @throws UserError as a run would
 */
export async function calibrateAll(
  runs: readonly { name: string; title: string; resolved: ResolvedOptions<MethodDefinition> }[],
  plugins: readonly Plugin[],
  { stop, console }: { stop: StopSignal; console: Console },
): Promise<Map<string, number> | null> {
  const seconds = new Map<string, number>();
  for (const { name, title, resolved } of Array<typeof runs>(CALIBRATIONS).fill(runs).flat()) {
    const step = await calibrate(resolved, plugins, stop);
    if (step === null) return null;
    seconds.set(name, Math.min(step, seconds.get(name) ?? step));
    console.line(`timed      ${title}: ${step.toPrecision(2)} s a step`);
  }
  return seconds;
}

/**
 * Makes everything that a run needs, and nothing of it is kept.
 * @returns how long it is
 * @throws UserError as a run would
 */
export async function tryRun(resolved: ResolvedOptions<MethodDefinition>, plugins: readonly Plugin[]) {
  const { method, images, options } = await prepare(resolved, plugins);
  method.dispose();
  const { epochs, batchSize } = options;
  return { epochs, totalSteps: epochs * stepsPerEpoch(images.length, batchSize) };
}

function prepare({ method: definition, options }: ResolvedOptions<MethodDefinition>, plugins: readonly Plugin[]) {
  checkMethodOptions(definition, options);
  const selected = selectPlugins(definition, options, plugins);
  return prepareTraining({
    ...{ definition, options, plugins, selected, listing: {} },
    ...{ ranks: ALONE, microBatchSize: null },
  });
}

/** @throws UserError if a budget is no time */
export function checkBudget(budget: string | null): void {
  if (budget === null || readDuration(budget)) return;
  throw new UserError(`--budget cannot be '${budget}'`, {
    expected: 'a time above 0 with its unit: 90s, 30m, 1h30m',
  });
}

/**
 * Whole epochs that fit into a budget.
 * @param budget as people write it: '30m'
 * @throws UserError if not even one does, with a budget that would
 */
export function epochsWithin(budget: string, secondsPerStep: number, epochSteps: number, method: string) {
  const epoch = secondsPerStep * epochSteps;
  const epochs = Math.floor((readDuration(budget) ?? 0) / epoch);
  if (epochs >= 1) return epochs;
  const needed = Math.ceil(1.2 * epoch);
  const steps = `${epochSteps} steps of ${secondsPerStep.toPrecision(2)} s`;
  throw new UserError(`a budget of ${budget} is too small for one epoch of ${method}: ${steps}`, {
    expected: 'time for one epoch of each run, or more',
    remedy: `use --budget ${formatDuration(needed)} or more, fewer images, or a smaller model`,
  });
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
