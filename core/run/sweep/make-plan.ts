import type { Console } from '../../base/console.js';
import { UserError } from '../../base/errors.js';
import { checkOutside } from '../../base/folders.js';
import type { OpenedData } from '../../eval/labelled-data.js';
import type { MethodDefinition } from '../../methods/method.js';
import type { Plugin } from '../../plugins/plugin.js';
import type { StopSignal } from '../interrupt.js';
import { calibrateAll, checkBudget, epochsWithin, TIMED_EPOCHS, tryRun } from '../trials/calibrate.js';
import { dataFacts } from '../trials/data-facts.js';
import type { PlannedRun } from '../trials/run-trials.js';
import type { SweepFile } from './file.js';
import { askedOf, plannedRuns, type RunLength, type SweepPlan } from './plan.js';

/** With what a sweep is planned. */
interface Surroundings {
  methods: readonly MethodDefinition[];
  plugins: readonly Plugin[];
  out: string;
  console: Console;
  stop: StopSignal;
}

/**
 * Tries whether each trial could begin and, where there is a budget, times its steps, which fixes how long its runs are.
 * @param budget training time of each run: '30m'
 * @returns null where it was asked to stop
 * @throws UserError with the name of a trial that could not begin, or whose epoch does not fit into the budget
 */
export async function planSweep(
  file: SweepFile,
  budget: string | null,
  opened: OpenedData,
  { methods, plugins, out, console, stop }: Surroundings,
): Promise<Omit<SweepPlan, 'format'> | null> {
  checkBudget(budget);
  if (budget !== null) requireNoLength(file);
  const ofFirstSeed = (lengthOf: (name: string) => RunLength) =>
    plannedRuns({ ...file, seeds: 1 }, methods, out, lengthOf);
  const epochs = budget === null ? null : TIMED_EPOCHS;
  const runs = ofFirstSeed(() => ({ epochs, totalSteps: 1, secondsPerStep: null }));
  const dataSets = plugins.flatMap((plugin) => (plugin.dataSets ?? []).map(({ name }) => name));
  for (const { resolved } of runs) checkOutside(out, resolved.options.data, dataSets, "the sweep's folder");
  const lengths: Record<string, RunLength> = {};
  for (const run of runs) {
    const { epochs, totalSteps } = await lengthOf(run, plugins);
    const isSeen = run.resolved.options.imagesSeen !== null;
    lengths[run.name] = { epochs: isSeen ? epochs : null, totalSteps, secondsPerStep: null };
    if (stop.received) return null;
  }
  if (budget !== null) {
    const seconds = await calibrateAll(runs, plugins, { stop, console });
    if (!seconds) return null;
    for (const { name, title } of runs) {
      const secondsPerStep = seconds.get(name) as number;
      const epochSteps = lengths[name].totalSteps / TIMED_EPOCHS;
      const epochs = epochsWithin(budget, secondsPerStep, epochSteps, title);
      lengths[name] = { epochs, totalSteps: epochs * epochSteps, secondsPerStep };
    }
    for (const run of ofFirstSeed((name) => lengths[name])) await lengthOf(run, plugins); // warm-ups may not fit
  }
  return { asked: askedOf(file), budget, data: dataFacts(opened), lengths };
}

/** How long a run is that could begin. @throws UserError with the trial's name */
async function lengthOf({ title, resolved }: PlannedRun, plugins: readonly Plugin[]) {
  return tryRun(resolved, plugins).catch((error: unknown) => {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`the trial ${title}: ${error.message}`, error.advice, { cause: error });
  });
}

function requireNoLength({ path, base, variants = [], grid = {}, random }: SweepFile): void {
  const parts = [base, ...variants, grid, random ?? {}];
  const length = ['epochs', 'imagesSeen'].find((name) => parts.some((given) => name in given));
  if (length === undefined) return;
  throw new UserError(`--budget and ${length} in ${path} contradict one another`, { expected: 'one of them' });
}
