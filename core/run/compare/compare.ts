import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { type AmongRuns, type Console, count, formatDuration } from '../../base/console.js';
import { makeFolders } from '../../base/folders.js';
import type { StopSignalName } from '../../base/program.js';
import { round } from '../../base/rounding.js';
import { startEngine } from '../../engine/start.js';
import type { ExtractionSettings } from '../../eval/evaluate.js';
import type { OpenedData } from '../../eval/labelled-data.js';
import { loadNetwork, randomNetwork } from '../../eval/network.js';
import type { MethodDefinition } from '../../methods/method.js';
import type { Plugin } from '../../plugins/plugin.js';
import type { Comparison, JudgedRun, Probed } from '../../report/comparison.js';
import { showEvaluation } from '../../report/evaluation-text.js';
import { shown } from '../../report/result-table.js';
import { ALONE, threadsOf } from '../../train/communicator/ranks.js';
import { type PretrainRequest, pretrain } from '../pretrain.js';
import { readRunState, runFolder } from '../run-folder.js';
import { runCompute } from '../run-log.js';
import { architectureOf, type Bench, probeNetwork, probePixels } from './judge.js';
import { comparisonFolder, type Plan } from './plan.js';
import { runOptions, type Surroundings } from './run-options.js';

/** A comparison whose plan is made. */
export interface CompareRequest extends Surroundings, Pick<PretrainRequest, 'console' | 'stop'> {
  out: string;
  plan: Plan;
  opened: OpenedData;
  settings: ExtractionSettings;
  /** The plugins and methods that there are with some plugins that are named. */
  known: {
    plugins: (names: readonly string[]) => Promise<readonly Plugin[]>;
    methods: (plugins: readonly Plugin[]) => readonly MethodDefinition[];
  };
}

/** A run of a comparison. */
interface PlannedRun {
  method: MethodDefinition;
  seed: number;
  epochs: number;
  secondsPerStep: number | null;
  out: string;
}

/**
 * Trains what has not been trained yet of a comparison, one run after the other, all methods with one seed before the next
 * seed, and judges each run when it is complete. What was done before is read, so that a comparison goes on where it stopped.
 * @returns what was measured, or the signal that stopped it
 */
export async function compare(request: CompareRequest): Promise<Comparison | StopSignalName> {
  const { out, plan, console, stop, opened } = request;
  const folder = comparisonFolder(out);
  const runs = runsOf(request);
  await makeFolders(dirname(folder.probe('pixels')));
  const judged: JudgedRun[] = [];
  const random = new Map<string, Comparison['random'][number]>();
  const progress = showEvaluation(console);
  for (const [at, run] of runs.entries()) {
    const title = `run ${at + 1} of ${runs.length}, ${run.method.title}, seed ${run.seed}`;
    await train(request, run, { title, secondsLater: (step) => laterSeconds(plan, runs, at, step) });
    if (stop.received) return stop.received;
    progress.stage(`${title}: logistic regression and nearest neighbours`);
    const bench = await benchOf(request, progress);
    const { of, untrained, baseline } = await judge(request, run, bench);
    await bench.engine.free?.(); // the next run compiles other functions
    progress.stop();
    judged.push(of);
    random.set(baseline, { seed: run.seed, probed: untrained });
    console.line(`${title}: ${sayOf(of, untrained)}`);
  }
  const bench = await benchOf(request, progress);
  const methods = plan.methods.map(({ name, epochs, preset, secondsPerStep }) => {
    const { method, options } = optionsOf(request, runs.find((run) => run.method.name === name) as PlannedRun);
    return { name, title: method.title, objective: method.describe(options), epochs, preset, secondsPerStep };
  });
  const { name, version, device, threads } = bench.engine;
  return {
    dataSet: opened.dataSet.name,
    data: plan.data,
    asked: plan.asked,
    stepsPerEpoch: plan.stepsPerEpoch,
    methods,
    engine: { name, version, device, threads },
    runs: judged,
    random: [...random.values()],
    pixels: await probePixels(folder.probe('pixels'), bench),
  };
}

/** Judges a run that is complete, and random weights of the same architecture, each once. */
async function judge({ out }: CompareRequest, { method, seed, epochs, out: place }: PlannedRun, bench: Bench) {
  const { probe } = comparisonFolder(out);
  const network = await loadNetwork(place);
  const fresh = randomNetwork(network, seed);
  const baseline = `random-${architectureOf(network)}-${seed}`;
  try {
    const probed = await probeNetwork(probe(`${method.name}-${seed}`), network, bench);
    const untrained = await probeNetwork(probe(baseline), fresh, bench);
    const verdicts = (await readRunState(runFolder(place).state))?.verdicts ?? {};
    const hours = runCompute(place)?.deviceHours ?? null;
    const seconds = hours === null ? null : round(3600 * hours, 1);
    return { of: { method: method.name, seed, epochs, seconds, verdicts, probed }, untrained, baseline };
  } finally {
    network.dispose();
    fresh.dispose();
  }
}

function sayOf({ epochs, seconds, probed }: JudgedRun, untrained: Probed): string {
  const took = seconds === null ? '' : ` in ${formatDuration(seconds)}`;
  const [own, other] = [probed, untrained].map(({ logistic }) => (logistic === null ? 'none' : `${shown(logistic)}%`));
  return `${count(epochs, 'epoch')}${took}; logistic regression ${own}, with random weights ${other}`;
}

function runsOf({ out, plan, methods }: CompareRequest): PlannedRun[] {
  const seeds = Array.from({ length: plan.asked.seeds }, (_, seed) => seed);
  return seeds.flatMap((seed) =>
    plan.methods.map(({ name, epochs, secondsPerStep }) => {
      const method = methods.find((one) => one.name === name) as MethodDefinition;
      return { method, seed, epochs, secondsPerStep, out: comparisonFolder(out).run(name, seed) };
    }),
  );
}

function optionsOf(request: CompareRequest, { method, seed, epochs, out }: PlannedRun) {
  return runOptions(request.plan.asked, request, { method, seed, epochs, out });
}

/** Trains a run, or goes on with it; one that is complete is left as it is. */
async function train(request: CompareRequest, run: PlannedRun, among: AmongRuns): Promise<void> {
  const { console, stop, known } = request;
  const { config, state } = runFolder(run.out);
  if ((await readRunState(state))?.state === 'done') return;
  const resolved = optionsOf(request, run);
  const resume = existsSync(config);
  await pretrain({ resolved, resume, force: false, ...known, console: quiet(console, among), stop, ranks: ALONE });
}

/** Says of a run only what should not be missed, and how far it is. */
function quiet(console: Console, among: AmongRuns): Console {
  return {
    ...console,
    line: () => {},
    warn: (text) => console.warn(`${among.title}: ${text}`),
    progress: (totalSteps, epochs, doneSteps) => console.progress(totalSteps, epochs, doneSteps, among),
  };
}

/** Seconds that the runs after one take, those without a calibration as long as this one's steps. */
function laterSeconds({ stepsPerEpoch }: Plan, runs: readonly PlannedRun[], at: number, step: number): number {
  return runs
    .slice(at + 1)
    .reduce((sum, { epochs, secondsPerStep }) => sum + epochs * stepsPerEpoch * (secondsPerStep ?? step), 0);
}

/** On what networks are judged. Starting the engine again makes it the active one. */
async function benchOf(
  { running, opened, settings, stop }: CompareRequest,
  progress: Bench['progress'],
): Promise<Bench> {
  const { engine: choice, device, precision, threads } = running;
  const engine = await startEngine(choice, { device, precision, threads: threads ?? threadsOf(ALONE) });
  return { engine, opened, settings: { ...settings, signal: stop.aborted }, progress };
}
