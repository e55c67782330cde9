import type { StopSignalName } from '../../base/program.js';
import type { OpenedData } from '../../eval/labelled-data.js';
import type { MethodDefinition } from '../../methods/method.js';
import type { Comparison } from '../../report/comparison.js';
import { type PlannedRun, runTrials, type TrialsRequest } from '../trials/run-trials.js';
import { comparisonFolder, type Plan } from './plan.js';
import { runOptions, type Surroundings } from './run-options.js';

/** A comparison whose plan is made. */
export interface CompareRequest extends Surroundings, Pick<TrialsRequest, 'console' | 'stop' | 'known'> {
  out: string;
  plan: Plan;
  opened: OpenedData;
}

/**
 * Trains what has not been trained yet of a comparison, one run after the other, all methods with one seed before the next
 * seed, and judges each run when it is complete. What was done before is read, so that a comparison goes on where it stopped.
 * @returns what was measured, or the signal that stopped it
 */
export async function compare(request: CompareRequest): Promise<Comparison | StopSignalName> {
  const { out, plan, opened, known, console, stop } = request;
  const runs = runsOf(request);
  const { probe } = comparisonFolder(out);
  const found = await runTrials({ runs, word: 'run', opened, probe, known, goesOn: false, console, stop });
  if (typeof found === 'string') return found;
  const methods = plan.methods.map(({ name, epochs, preset, secondsPerStep }) => {
    const { method, options } = (runs.find((run) => run.name === name) as PlannedRun).resolved;
    return { name, title: method.title, objective: method.describe(options), epochs, preset, secondsPerStep };
  });
  return {
    dataSet: opened.dataSet.name,
    data: plan.data,
    asked: plan.asked,
    stepsPerEpoch: plan.stepsPerEpoch,
    methods,
    engine: found.engine,
    runs: found.runs.map(({ name, ...run }) => ({ method: name, ...run })),
    random: found.random,
    pixels: found.pixels,
  };
}

function runsOf(request: CompareRequest): PlannedRun[] {
  const { asked, methods, stepsPerEpoch } = request.plan;
  const seeds = Array.from({ length: asked.seeds }, (_, seed) => seed);
  return seeds.flatMap((seed) =>
    methods.map(({ name, epochs, secondsPerStep }) => {
      const method = request.methods.find((one) => one.name === name) as MethodDefinition;
      const out = comparisonFolder(request.out).run(name, seed);
      const resolved = runOptions(asked, request, { method, seed, epochs, out });
      return { name, title: method.title, seed, totalSteps: epochs * stepsPerEpoch, secondsPerStep, out, resolved };
    }),
  );
}
