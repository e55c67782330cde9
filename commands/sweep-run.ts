import { writeFileAtomically } from '../core/base/atomic.js';
import { type Console, count, quote } from '../core/base/console.js';
import { explainWriteError, UserError } from '../core/base/errors.js';
import { checkOutside, makeFolders } from '../core/base/folders.js';
import type { FileLock } from '../core/base/lock.js';
import { commandName, PROGRAM, programVersion, type StopSignalName, terminalOf } from '../core/base/program.js';
import { readConfigFile } from '../core/config/file.js';
import { type OpenedData, openLabelled } from '../core/eval/labelled-data.js';
import { USUAL_VOTING } from '../core/eval/protocols.js';
import { groupBy } from '../core/report/network-rows.js';
import { bestTrial, type Sweep, sweepRows, sweepTable } from '../core/report/sweep.js';
import { tableCsv, tableMarkdown, tableText } from '../core/report/table-formats.js';
import type { StopSignal } from '../core/run/interrupt.js';
import { checkNames, readSweepFile, type SweepFile } from '../core/run/sweep/file.js';
import { planSweep } from '../core/run/sweep/make-plan.js';
import {
  askedOf,
  plannedRuns,
  readSweepPlan,
  type SweepPlan,
  sameSweep,
  sweepFolder,
  writeSweepPlan,
} from '../core/run/sweep/plan.js';
import { trialsOf } from '../core/run/sweep/trials.js';
import { dataFacts, requireSameData } from '../core/run/trials/data-facts.js';
import { type Judged, type PlannedRun, runTrials } from '../core/run/trials/run-trials.js';
import { inOneProcess } from './in-one-process.js';
import type { SweepOptions } from './options/sweep.js';
import { methodsOf, pluginNames, pluginsWith } from './plugins.js';

const FORMAT = `${PROGRAM}-sweep-1` as const;

/** Trains the trials of a file, judges them, and writes a table after each; gives the exit code. */
export function runSweep(options: SweepOptions): Promise<number> {
  const { file, out, json } = options;
  const { plan, lock } = sweepFolder(out);
  const goOn = `sweep --file ${quote(file)} --out ${quote(out)} --resume`;
  return inOneProcess(json, { plan, lock, it: 'sweep', doing: 'sweeping', goOn }, (...shared) =>
    sweepLocked(options, ...shared),
  );
}

/** @returns the signal that stopped it; null where the sweep is complete */
async function sweepLocked(
  { file: path, out, budget, resume, json }: SweepOptions,
  lock: FileLock,
  console: Console,
  stop: StopSignal,
): Promise<StopSignalName | null> {
  const given = await readSweepFile(path);
  const before = await readSweepPlan(out);
  requireAsked(out, before, resume);
  const file = before ? sameSweep(given, budget, before) : given;
  const { base } = file;
  const named = pluginNames(base.plugins ?? (await readConfigFile(undefined))?.options.plugins);
  const plugins = await pluginsWith(named);
  const methods = methodsOf(plugins);
  checkNames(file, methods);
  const dataSets = plugins.flatMap((plugin) => plugin.dataSets ?? []);
  const opened = await openLabelled(file.probe.data, dataSets);
  checkOutside(
    out,
    [file.probe.data],
    dataSets.map(({ name }) => name),
    "the sweep's folder",
  );
  requireNeighbours(file, opened);
  if (before) requireSameData(opened, before.data, file.probe.data, 'sweep');
  const complete = { ...file, base: { ...base, plugins: base.plugins ?? named } };
  const planned = before ?? (await planSweep(complete, budget, opened, { methods, plugins, out, console, stop }));
  if (!planned) return stop.received;
  await makeFolders(out).catch((error: unknown) => {
    throw explainWriteError(error, out);
  });
  await lock.acquire();
  if (!before) requireAsked(out, await readSweepPlan(out), resume); // another process may have begun meanwhile
  const { lengths } = before ?? (await writeSweepPlan(out, { ...planned, asked: askedOf(file) }));
  const runs = plannedRuns(complete, methods, out, (name) => lengths[name]);
  console.line(`data       ${opened.data.train.description}; ${opened.data.test.description}`);
  console.line(`sweep      ${count(runs.length / file.seeds, 'trial')}, ${count(file.seeds, 'seed')} each`);
  const { neighbours } = file.probe;
  const found = await runTrials({
    runs,
    word: 'trial',
    opened,
    voting: neighbours === undefined ? undefined : { ...USUAL_VOTING, ks: [neighbours] },
    probe: sweepFolder(out).probe,
    known: { plugins: pluginsWith, methods: methodsOf },
    goesOn: true,
    onRun: (judged) => write(sweepOf(file, opened, runs, judged), out, json, console),
    ...{ console, stop },
  });
  if (typeof found === 'string') return found;
  finish(sweepOf(file, opened, runs, found), out, json, console);
  return null;
}

function requireAsked(out: string, before: SweepPlan | null, resume: boolean): void {
  if (before && !resume) {
    throw new UserError(`${out} already holds a sweep`, {
      expected: 'a new folder',
      remedy: 'use --resume to go on with it, or another --out',
    });
  }
  if (!before && resume) {
    throw new UserError(`there is no sweep to resume in ${out}`, {
      expected: 'the folder of a sweep, with its plan.json',
      remedy: 'check --out, or leave --resume out to start a sweep',
    });
  }
}

function requireNeighbours({ path, probe: { neighbours = 1 } }: SweepFile, { data: { train } }: OpenedData): void {
  if (neighbours <= train.length) return;
  throw new UserError(
    `probe.neighbours in ${path} cannot be ${neighbours}: there are ${train.length} training images`,
    {
      expected: `a number up to ${train.length}`,
    },
  );
}

function sweepOf(file: SweepFile, { dataSet, data }: OpenedData, runs: readonly PlannedRun[], judged: Judged): Sweep {
  const trials = trialsOf(file).map((trial, at) => {
    const { method, options } = runs[at].resolved;
    return { ...trial, epochs: options.epochs, objective: `${method.title}: ${method.describe(options)}` };
  });
  const { train, test, classes, trainImages, testImages } = dataFacts({ dataSet, data });
  const facts = { train, test, classes, trainImages, testImages };
  return { dataSet: dataSet.name, data: facts, seeds: file.seeds, measure: file.probe.measure, trials, ...judged };
}

function documentOf(sweep: Sweep, out: string) {
  const best = bestTrial(sweep);
  const config = best === null ? null : sweepFolder(`${out}/${best}_seed-0/config.yaml`).path;
  const command = config && `${commandName()} pretrain --config ${quote(config)} --out ${quote(`${out}-best`)}`;
  const chosen = best === null ? null : { name: best, command };
  return { format: FORMAT, programVersion: programVersion(), ...sweep, rows: sweepRows(sweep), best: chosen };
}

/** Prints the table and writes it with all facts, whole, after each run. */
async function write(sweep: Sweep, out: string, json: boolean, console: Console): Promise<void> {
  const { facts, table, csv } = sweepFolder(out);
  const drawn = sweepTable(sweep);
  const { colour, columns } = terminalOf(json ? process.stderr : process.stdout);
  console.line(`\n${tableText(drawn, colour, columns)}\n`);
  await writeFileAtomically(facts, `${JSON.stringify(documentOf(sweep, out), null, 2)}\n`);
  await writeFileAtomically(table, tableMarkdown(drawn));
  await writeFileAtomically(csv, tableCsv(drawn));
}

/**
 * Says what the best trial is, and how to train it again.
 * @throws UserError if a run of every trial failed: there is nothing to choose from
 */
function finish(sweep: Sweep, out: string, json: boolean, console: Console): void {
  const { facts, table, csv } = sweepFolder(out);
  const document = documentOf(sweep, out);
  const title = sweep.trials.find(({ name }) => name === document.best?.name)?.title;
  console.line(
    document.best ? `best       ${title}\n           ${document.best.command}` : 'best       no trial is complete',
  );
  const files = [facts, table, csv];
  console.line(`files      ${files.join(', ')}`);
  if (json) process.stdout.write(`${JSON.stringify({ ...document, files })}\n`);
  if (document.best === null && sweep.failed.length > 0) throw allFailed(sweep, out);
}

/** Reasons that are told of runs that failed. */
const REASONS = 3;

function allFailed({ trials, seeds, failed }: Sweep, out: string): UserError {
  const alike = [...groupBy(failed, ({ reason }) => reason)];
  const told = alike.slice(0, REASONS).map(([reason, [first, ...others]]) => {
    const title = trials.find(({ name }) => name === first.name)?.title;
    const more = others.length === 0 ? '' : ` and ${count(others.length, 'other run')}`;
    return `  ${title}, seed ${first.seed}${more}: ${reason}`;
  });
  const untold = alike.slice(REASONS).reduce((sum, [, runs]) => sum + runs.length, 0);
  const rest = untold === 0 ? [] : [`  ${count(untold, 'further run')}: see ${sweepFolder(out).facts}`];
  const runs = `${failed.length} of ${count(trials.length * seeds, 'run')}`;
  return new UserError([`no trial of the sweep is complete: ${runs} failed`, ...told, ...rest].join('\n'), {
    expected: 'one trial or more whose runs are trained and judged',
    remedy:
      `read the logs, log.jsonl in ${sweepFolder(out).run(failed[0], failed[0].seed)} for example; then change the options and ` +
      'begin another sweep with another --out, or use --resume to try the same runs again',
  });
}
