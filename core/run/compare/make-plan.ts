import { findMethod } from '../../config/choose-method.js';
import { stepsPerEpoch } from '../../data/loader.js';
import type { OpenedData } from '../../eval/labelled-data.js';
import { calibrate, epochsWithin, tryRun } from '../trials/calibrate.js';
import { dataFacts } from '../trials/data-facts.js';
import type { CompareRequest } from './compare.js';
import { type Asked, type Plan, writePlan } from './plan.js';
import { runOptions, smallPreset } from './run-options.js';

/** Epochs that a run which is only timed would have. */
export const TIMED_EPOCHS = 100;
/** How often the steps of each method are timed, in turns: the shortest time counts, which other work on the machine hides least. */
const CALIBRATIONS = 2;

/**
 * Times the steps of each method where there is a budget, and fixes how long runs are; the folder is there.
 * @returns null where it was asked to stop
 * @throws UserError if a budget is too small for one epoch, or a run could not begin
 */
export async function makePlan(
  asked: Asked,
  opened: OpenedData,
  { stop, console, out, ...surroundings }: Omit<CompareRequest, 'plan' | 'opened' | 'known'>,
): Promise<Plan | null> {
  const epochSteps = stepsPerEpoch(opened.data.train.length, asked.batchSize);
  const methods = asked.methods.map((name) => findMethod(surroundings.methods, name, ''));
  if (asked.epochs !== null) {
    for (const method of methods) {
      const resolved = runOptions(asked, surroundings, { method, seed: 0, epochs: asked.epochs, out });
      await tryRun(resolved, surroundings.plugins); // a plan that cannot be carried out is not written
    }
  }
  const seconds = new Map<string, number>();
  for (const method of asked.budget === null ? [] : Array<typeof methods>(CALIBRATIONS).fill(methods).flat()) {
    const timed = runOptions(asked, surroundings, { method, seed: 0, epochs: TIMED_EPOCHS, out });
    const step = await calibrate(timed, surroundings.plugins, stop);
    if (step === null) return null;
    seconds.set(method.name, Math.min(step, seconds.get(method.name) ?? step));
    console.line(`timed      ${method.title}: ${step.toPrecision(2)} s a step`);
  }
  const planned = methods.map((method): Plan['methods'][number] => {
    const secondsPerStep = seconds.get(method.name) ?? null;
    const { budget, epochs } = asked;
    const length = { name: method.name, preset: smallPreset(method), secondsPerStep };
    if (budget === null || secondsPerStep === null) return { ...length, epochs: epochs as number };
    return { ...length, epochs: epochsWithin(budget, secondsPerStep, epochSteps, method.title) };
  });
  return writePlan(out, { asked, data: dataFacts(opened), stepsPerEpoch: epochSteps, methods: planned });
}
