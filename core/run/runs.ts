import { existsSync, statSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { formatBytes } from '../base/console.js';
import { explainSystemError, UserError } from '../base/errors.js';
import { judgeOwner, readHolder } from '../base/lock.js';
import { latestCheckpoint } from '../checkpoint/folder.js';
import { readRunRecord } from '../config/record.js';
import type { MethodOptions } from '../config/schema.js';
import { stepsPerEpoch } from '../data/loader.js';
import type { EvaluationResult } from '../eval/results.js';
import { type Found, type FoundResult, findResults, searchFolder } from './results-search.js';
import { type RunFolder, type RunState, readRunState, runFolder } from './run-folder.js';
import { readLastRow } from './run-log.js';

/** Folders below the one that is searched: runs/GROUP/SUBGROUP/NAME. */
const DEPTH = 3;

/** A column that is there only where a run has an online probe. */
const PROBE = 'online probe';
const HEADINGS = [
  'run',
  'state',
  'epoch',
  'step',
  '',
  'loss',
  'verdict',
  PROBE,
  'best top-1',
  'on disk',
  'last change',
];
/** Columns of text; the rest are figures, which end at the same place. */
const LEFT = new Set(['run', 'state', 'verdict', PROBE, 'best top-1', 'last change']);

/** What the files of a run say of it. */
export type RunSummary = Awaited<ReturnType<typeof summarise>>;

/**
 * The runs in a folder and those below it, by name. Only reads, and only the ends of logs; runs may be going on.
 * @param leftOut is told of files that look like those of a run, or of results, and cannot be read
 * @throws UserError if the folder does not exist, or is none
 */
export async function findRuns(folder: string, methods: readonly MethodOptions[], leftOut: (reason: string) => void) {
  await readdir(folder).catch((error: unknown) => {
    throw explainSystemError(error, folder);
  });
  const results = await findResults([folder], ({ message }) => leftOut(message));
  const runs: RunSummary[] = [];
  for (const config of await searchFolder(resolve(folder), 'config.yaml', DEPTH)) {
    const files = runFolder(dirname(config));
    if (!existsSync(files.checkpoints)) continue; // another program's
    try {
      runs.push(await summarise(resolve(folder), files, methods, results));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      leftOut(error.message);
    }
  }
  return runs;
}

async function summarise(root: string, files: RunFolder, methods: readonly MethodOptions[], results: FoundResult[]) {
  const { options, run } = await readRunRecord(files.config, async () => methods);
  const { epochs, batchSize } = options;
  const totalSteps = epochs * stepsPerEpoch(run.data.images, batchSize);
  const row = await readLastRow(files);
  const step = row?.step ?? 0;
  const written = [files.config, files.log, files.state];
  const changes = written.map((path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0);
  return {
    /** Its folder, seen from the one that was searched. */
    name: relative(root, files.path) || '.',
    path: files.path,
    ...(await standingOf(files, step === totalSteps)),
    step,
    totalSteps,
    epoch: row?.epoch ?? 0,
    epochs,
    /** Of the last step; null where none is logged. */
    loss: row?.loss ?? null,
    /** The best top-1 accuracy that was measured of it, in percent. */
    best: bestOf(files, results),
    bytes: await bytesBelow(files.path),
    /** When its log or its state last changed, ISO 8601. */
    changed: new Date(Math.max(...changes)).toISOString(),
  };
}

/** How the run of a folder stands, whose last logged step may be the last of all: `unknown` where a process of another machine has its lock. */
export async function standingOf(files: RunFolder, isAtEnd: boolean) {
  const owner = await readHolder(files.lock);
  const isHeld = owner !== 'none' && owner !== null;
  const judged = isHeld ? judgeOwner(owner) : 'gone';
  const said = await readRunState(files.state);
  const standing = (state: RunState['state'] | 'unknown', reason: string | null = null) => ({
    state,
    /** Why it failed or stopped, or what is not known. */
    reason,
    /** Step of the checkpoint from which it goes on; null for runs of earlier versions. */
    savedStep: said?.savedStep ?? null,
    /** What its monitors made of it when it was last saved, by their names; none for runs of earlier versions. */
    verdicts: said?.verdicts ?? {},
    /** The best that its online probe told of a step; null where it has none, or told nothing yet. */
    probe: said?.probe ?? null,
  });
  if (judged === 'alive') return standing('running');
  if (isHeld && judged === 'unknown') {
    return standing('unknown', `locked by process ${owner.pid} of the machine '${owner.host}'`);
  }
  if (said) return said.state === 'running' ? standing('interrupted', 'killed') : standing(said.state, said.reason);
  // Runs of earlier versions do not say that they are done.
  return standing(isAtEnd && existsSync(latestCheckpoint(files.checkpoints)) ? 'done' : 'interrupted');
}

/**
 * Whether a result is of a run: one that names its checkpoint, or one in its folder whose checkpoint is not where it says,
 * because it was measured from another folder.
 */
export function isResultOf(
  { path: run }: RunFolder,
  { path, result }: Found<Pick<EvaluationResult, 'network'>>,
): boolean {
  const { weights, checkpoint } = result.network;
  const place = checkpoint !== null && existsSync(checkpoint) ? checkpoint : path;
  return weights === 'pretrained' && resolve(place).startsWith(resolve(run) + sep);
}

function bestOf(run: RunFolder, results: readonly FoundResult[]) {
  const own = results.filter((found) => isResultOf(run, found));
  own.sort((a, b) => b.result.best.top1.value - a.result.best.top1.value);
  const best = own[0]?.result;
  return best ? { top1: best.best.top1.value, dataSet: best.dataSet } : null;
}

/** The bytes of all files below a folder; those with several names count once. */
async function bytesBelow(folder: string): Promise<number> {
  const sizes = new Map<string, number>();
  // Training may remove what was there a moment ago.
  for (const name of await readdir(folder, { recursive: true }).catch(() => [])) {
    const found = await stat(join(folder, name)).catch(() => null);
    if (found?.isFile()) sizes.set(`${found.dev}:${found.ino}`, found.size);
  }
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}

/** Runs as a table for people, and below it why some of them stand still, and what monitors warn of. */
export function runsText(runs: readonly RunSummary[]): string {
  const isShown = (_: unknown, column: number) => HEADINGS[column] !== PROBE || runs.some(({ probe }) => probe);
  const rows = [HEADINGS, ...runs.map(cellsOf)].map((row) => row.filter(isShown));
  const [headings = []] = rows;
  const widths = headings.map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const aligned = (cell: string, column: number) =>
    LEFT.has(headings[column]) ? cell.padEnd(widths[column]) : cell.padStart(widths[column]);
  const lines = rows.map((row) => row.map(aligned).join('  ').trimEnd());
  const reasons = runs.flatMap(({ name, state, reason, savedStep }) =>
    reason === null
      ? []
      : [`${name} ${state}: ${reason}${savedStep === null ? '' : `; saved up to step ${savedStep}`}`],
  );
  const warnings = runs.flatMap(({ name, verdicts }) =>
    Object.values(verdicts).flatMap(({ isWell, text }) => (isWell ? [] : [`${name}: ${text}`])),
  );
  const remarks = [...reasons, ...warnings];
  return [...lines, ...(remarks.length > 0 ? ['', ...remarks] : [])].join('\n');
}

function cellsOf(run: RunSummary): string[] {
  const { name, state, epoch, epochs, step, totalSteps, loss, verdicts, probe, best, bytes, changed } = run;
  // 'no collapse', or 'collapse!', by the names of the monitors that gave verdicts.
  const judged = Object.entries(verdicts).map(([monitor, { isWell }]) => (isWell ? `no ${monitor}` : `${monitor}!`));
  return [
    name,
    state,
    `${epoch}/${epochs}`,
    `${step}/${totalSteps}`,
    `${Math.floor((100 * step) / totalSteps)}%`,
    loss === null ? '–' : loss.toFixed(4),
    judged.join(', ') || '–',
    probe ? `${probe.logistic.toFixed(1)} at ${probe.step}` : '–',
    best ? `${best.top1.toFixed(1)} ${best.dataSet}` : '–',
    formatBytes(bytes),
    // '2026-03-01 14:05', in the time of the machine.
    new Date(changed).toLocaleString('sv-SE', { dateStyle: 'short', timeStyle: 'short' }),
  ];
}
