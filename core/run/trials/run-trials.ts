import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { type AmongRuns, type Console, count, formatDuration } from '../../base/console.js';
import { reasonOf, UserError } from '../../base/errors.js';
import { makeFolders } from '../../base/folders.js';
import type { StopSignalName } from '../../base/program.js';
import { round } from '../../base/rounding.js';
import type { ResolvedOptions } from '../../config/resolve.js';
import { startEngine } from '../../engine/start.js';
import type { OpenedData } from '../../eval/labelled-data.js';
import { loadNetwork, randomNetwork } from '../../eval/network.js';
import type { Voting } from '../../eval/protocols.js';
import type { MethodDefinition } from '../../methods/method.js';
import { showEvaluation } from '../../report/evaluation-text.js';
import type { EngineFacts, FailedRun, JudgedRun, Probed } from '../../report/judged-rows.js';
import { shown } from '../../report/result-table.js';
import { ALONE, threadsOf } from '../../train/communicator/ranks.js';
import { type PretrainRequest, pretrain } from '../pretrain.js';
import { readRunState, runFolder } from '../run-folder.js';
import { runCompute } from '../run-log.js';
import { architectureOf, type Bench, probeNetwork, probePixels } from './judge.js';

/** Images whose features are computed at once. */
const TOGETHER = 16;

/** A run of several. */
export interface PlannedRun {
  /** Of its method or trial: the same with each seed. */
  name: string;
  title: string;
  seed: number;
  totalSteps: number;
  /** Of a calibration; null where there was none. */
  secondsPerStep: number | null;
  out: string;
  resolved: ResolvedOptions<MethodDefinition>;
}

/** Several runs, and how they are trained and judged. */
export interface TrialsRequest extends Pick<PretrainRequest, 'console' | 'stop'> {
  runs: readonly PlannedRun[];
  /** What they are called: 'run', 'trial'. */
  word: string;
  opened: OpenedData;
  voting?: Voting | undefined;
  /** The file of what was measured of a run, of random weights or of pixels. */
  probe: (name: string) => string;
  /** The plugins and methods that there are with some plugins that are named. */
  known: Pick<PretrainRequest, 'plugins' | 'methods'>;
  /** Whether a run that fails is noted, and the next one begins. */
  goesOn: boolean;
  /** Takes what is known after each run. */
  onRun?: (judged: Judged) => Promise<void>;
}

/** What became of several runs. */
export interface Judged {
  runs: readonly JudgedRun[];
  failed: readonly FailedRun[];
  /** Random weights of each architecture and seed. */
  random: readonly { seed: number; probed: Probed }[];
  pixels: Probed;
  engine: EngineFacts;
}

/**
 * Trains what has not been trained yet, one run after the other, and judges each run when it is complete. What was done
 * before is read, so that all goes on where it stopped.
 * @returns what was measured, or the signal that stopped it
 * @throws UserError of a run that fails, where others do not go on; of the disk or the data in any case
 */
export async function runTrials(request: TrialsRequest): Promise<Judged | StopSignalName> {
  const { runs, word, console, stop, probe, goesOn } = request;
  await makeFolders(dirname(probe('pixels')));
  const judged: JudgedRun[] = [];
  const failed: FailedRun[] = [];
  const random = new Map<string, Judged['random'][number]>();
  const progress = showEvaluation(console);
  let found: Judged | undefined;
  for (const [at, run] of runs.entries()) {
    const title = `${word} ${at + 1} of ${runs.length}, ${run.title}, seed ${run.seed}`;
    let said: string;
    try {
      await train(request, run, { title, secondsLater: (step) => laterSeconds(runs, at, step) });
      if (stop.received) return stop.received;
      progress.stage(`${title}: logistic regression and nearest neighbours`);
      const bench = await benchOf(request, run, progress);
      const { of, untrained, baseline } = await judge(request, run, bench);
      await bench.engine.free?.(); // the next run compiles other functions
      judged.push(of);
      random.set(baseline, { seed: run.seed, probed: untrained });
      said = sayOf(of, untrained);
    } catch (error) {
      if (!goesOn || stop.received || !isOfRun(error)) throw error;
      failed.push({ name: run.name, seed: run.seed, reason: reasonOf(error) });
      said = `failed: ${reasonOf(error)}`;
    } finally {
      progress.stop();
    }
    console.line(`${title}: ${said}`);
    const bench = await benchOf(request, run, progress);
    const pixels = await probePixels(probe('pixels'), bench);
    const { name, version, device, threads } = bench.engine;
    const engine = { name, version, device, threads };
    found = { runs: [...judged], failed: [...failed], random: [...random.values()], pixels, engine };
    await request.onRun?.(found);
  }
  if (!found) throw new Error('there are no runs');
  return found;
}

/** Whether an error tells of one run alone: the system's are of the disk, and a bug is none of the user's. */
function isOfRun(error: unknown): boolean {
  if (!(error instanceof UserError)) return false;
  return !(error.cause instanceof Error && 'syscall' in error.cause);
}

/** Judges a run that is complete, and random weights of the same architecture, each once. */
async function judge({ probe }: TrialsRequest, { name, seed, out, resolved }: PlannedRun, bench: Bench) {
  const network = await loadNetwork(out);
  const fresh = randomNetwork(network, seed);
  const baseline = `random-${architectureOf(network)}-${seed}`;
  try {
    const probed = await probeNetwork(probe(`${name}-${seed}`), network, bench);
    const untrained = await probeNetwork(probe(baseline), fresh, bench);
    const verdicts = (await readRunState(runFolder(out).state))?.verdicts ?? {};
    const hours = runCompute(out)?.deviceHours ?? null;
    const seconds = hours === null ? null : round(3600 * hours, 1);
    const { epochs } = resolved.options;
    return { of: { name, seed, epochs, seconds, verdicts, probed }, untrained, baseline };
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

/** Trains a run, or goes on with it; one that is complete is left as it is. */
async function train({ console, stop, known }: TrialsRequest, run: PlannedRun, among: AmongRuns): Promise<void> {
  const { config, state } = runFolder(run.out);
  if ((await readRunState(state))?.state === 'done') return;
  const { resolved } = run;
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
function laterSeconds(runs: readonly PlannedRun[], at: number, step: number): number {
  return runs.slice(at + 1).reduce((sum, run) => sum + run.totalSteps * (run.secondsPerStep ?? step), 0);
}

/** On what a run is judged. Starting the engine again makes it the active one. */
async function benchOf(
  { opened, voting, stop }: TrialsRequest,
  { resolved: { options } }: PlannedRun,
  progress: Bench['progress'],
): Promise<Bench> {
  const { engine: choice, device, precision, threads, maxUnreadable, maxMegapixels } = options;
  const engine = await startEngine(choice, { device, precision, threads: threads ?? threadsOf(ALONE) });
  const pixelLimit = Math.floor(maxMegapixels * 1e6);
  const settings = { batchSize: TOGETHER, cache: null, pixelLimit, maxUnreadable, signal: stop.aborted };
  return { engine, opened, voting, settings, progress };
}
