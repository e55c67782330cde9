import { findMethod } from '../../config/choose-method.js';
import { stepsPerEpoch } from '../../data/loader.js';
import type { OpenedData } from '../../eval/labelled-data.js';
import { calibrateAll, epochsWithin, TIMED_EPOCHS, tryRun } from '../trials/calibrate.js';
import { dataFacts } from '../trials/data-facts.js';
import type { CompareRequest } from './compare.js';
import { type Asked, type Plan, writePlan } from './plan.js';
import { runOptions, smallPreset } from './run-options.js';

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
  const timed = methods.map((method) => {
    const resolved = runOptions(asked, surroundings, { method, seed: 0, epochs: TIMED_EPOCHS, out });
    return { name: method.name, title: method.title, resolved };
  });
  const seconds = await calibrateAll(asked.budget === null ? [] : timed, surroundings.plugins, { stop, console });
  if (!seconds) return null;
  const planned = methods.map((method): Plan['methods'][number] => {
    const secondsPerStep = seconds.get(method.name) ?? null;
    const { budget, epochs } = asked;
    const length = { name: method.name, preset: smallPreset(method), secondsPerStep };
    if (budget === null || secondsPerStep === null) return { ...length, epochs: epochs as number };
    return { ...length, epochs: epochsWithin(budget, secondsPerStep, epochSteps, method.title) };
  });
  return writePlan(out, { asked, data: dataFacts(opened), stepsPerEpoch: epochSteps, methods: planned });
}
