import { existsSync, statSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { explainSystemError, UserError } from '../base/errors.js';
import { readHolder } from '../base/lock.js';
import { judgeOwner } from '../base/lock-owner.js';
import { latestCheckpoint } from '../checkpoint/names.js';
import { type RunRecord, readRunRecord } from '../config/record.js';
import type { MethodOptions } from '../config/schema.js';
import { stepsPerEpoch } from '../data/loader.js';
import type { EvaluationResult } from '../eval/results.js';
import { readResults } from '../eval/results.js';
import { findResults, searchFolder } from './results-search.js';
import { type RunFolder, runFolder } from './run-folder.js';
import { readLastRow } from './run-log.js';
import { type RunState, readRunState } from './run-state.js';

/** Folders below the one that is searched: runs/GROUP/SUBGROUP/NAME. */
const DEPTH = 3;

/** How a run stands: `unknown` where a process of another machine has its lock. */
export interface RunStanding {
  state: RunState['state'] | 'unknown';
  /** Why it failed or stopped, or what is not known. */
  reason: string | null;
  /** Step of the checkpoint from which it goes on; null for runs of earlier versions. */
  savedStep: number | null;
  /** What its monitors made of it when it was last saved, by their names; none for runs of earlier versions. */
  verdicts: RunState['verdicts'];
}

/** What the files of a run say of it. */
export interface RunSummary extends RunStanding {
  /** Its folder, seen from the one that was searched. */
  name: string;
  path: string;
  step: number;
  totalSteps: number;
  epoch: number;
  epochs: number;
  /** Of the last step; null where none is logged. */
  loss: number | null;
  /** The best top-1 accuracy that was measured of it, in percent. */
  best: { top1: number; dataSet: string } | null;
  bytes: number;
  /** When its log or its state last changed, ISO 8601. */
  changed: string;
}

/**
 * The runs in a folder and those below it, by name. Only reads, and only the ends of logs; runs may be going on.
 * @param leftOut is told of files that look like those of a run, or of results, and cannot be read
 * @throws UserError if the folder does not exist, or is none
 */
export async function findRuns(
  folder: string,
  methods: readonly MethodOptions[],
  leftOut: (reason: string) => void,
): Promise<RunSummary[]> {
  await readdir(folder).catch((error: unknown) => {
    throw explainSystemError(error, folder);
  });
  const results = await readAll(await findResults([folder]), leftOut);
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

async function summarise(
  searched: string,
  files: RunFolder,
  methods: readonly MethodOptions[],
  results: readonly Found[],
): Promise<RunSummary> {
  const record = await readRunRecord(files.config, async () => methods);
  const { epochs } = record.options;
  const totalSteps = totalStepsOf(record);
  const row = await readLastRow(files);
  const step = row?.step ?? 0;
  return {
    name: relative(searched, files.path) || '.',
    path: files.path,
    ...(await standingOf(files, step === totalSteps)),
    step,
    totalSteps,
    epoch: row?.epoch ?? 0,
    epochs,
    loss: row?.loss ?? null,
    best: bestOf(files, results),
    bytes: await bytesBelow(files.path),
    changed: new Date(Math.max(...[files.config, files.log, files.state].map(changedAt))).toISOString(),
  };
}

function totalStepsOf({ options, run }: RunRecord): number {
  return options.epochs * stepsPerEpoch(run.data.images, options.batchSize);
}

async function standingOf(files: RunFolder, isAtEnd: boolean): Promise<RunStanding> {
  const owner = await readHolder(files.lock);
  const judged = owner === 'none' || owner === null ? 'gone' : judgeOwner(owner);
  const said = await readRunState(files.state);
  const savedStep = said?.savedStep ?? null;
  const verdicts = said?.verdicts ?? {};
  if (judged === 'alive') return { state: 'running', reason: null, savedStep, verdicts };
  if (judged === 'unknown' && typeof owner === 'object' && owner) {
    return {
      state: 'unknown',
      reason: `locked by process ${owner.pid} of the machine '${owner.host}'`,
      savedStep,
      verdicts,
    };
  }
  if (said) return said.state === 'running' ? { state: 'interrupted', reason: 'killed', savedStep, verdicts } : said;
  // Runs of earlier versions do not say that they are done.
  const isDone = isAtEnd && existsSync(latestCheckpoint(files.checkpoints));
  return { state: isDone ? 'done' : 'interrupted', reason: null, savedStep, verdicts };
}

type Found = { path: string; result: EvaluationResult };

async function readAll(
  files: Awaited<ReturnType<typeof findResults>>,
  leftOut: (reason: string) => void,
): Promise<Found[]> {
  const found: Found[] = [];
  for (const { path } of files) {
    try {
      for (const result of await readResults(path)) found.push({ path, result });
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      leftOut(error.message);
    }
  }
  return found;
}

/**
 * The best result of a run: of those that name its checkpoint, and of those in its folder whose checkpoint is not where
 * they say, because they were measured from another folder.
 */
function bestOf({ path: run }: RunFolder, results: readonly Found[]): RunSummary['best'] {
  const isBelow = (path: string) => resolve(path).startsWith(run + sep);
  const own = results.filter(({ path, result: { network } }) => {
    const { weights, checkpoint } = network;
    return weights === 'pretrained' && isBelow(checkpoint !== null && existsSync(checkpoint) ? checkpoint : path);
  });
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

function changedAt(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
