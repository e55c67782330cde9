import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { z } from 'zod';
import { UserError } from '../base/errors.js';
import { PROGRAM, programVersion } from '../base/program.js';
import { flagOf, formatValue } from '../config/option.js';
import { type MethodsWith, type RunRecord, readRunRecord } from '../config/record.js';
import { schemaOf } from '../config/schema.js';
import { stepsPerEpoch } from '../data/loader.js';
import type { EvaluationResult } from '../eval/results.js';
import type { SegmentationResult } from '../eval/segmentation-file.js';
import type { MethodDefinition } from '../methods/method.js';
import { PUBLISHED } from '../methods/published.js';
import type { Fact, ReportFacts, RunFacts, Standing } from '../report/facts.js';
import { evaluationFacts, tableFacts } from '../report/result-facts.js';
import { evaluationTables } from '../report/tables.js';
import { LogColumns } from './log-columns.js';
import { type Found, findResults, findSegmentations } from './results-search.js';
import { type RunFolder, runFolder } from './run-folder.js';
import { isResultOf, standingOf } from './runs.js';

/** A run that is to be shown. */
export interface ShownRun {
  name: string;
  folder: RunFolder;
  record: RunRecord<MethodDefinition>;
  log: LogColumns;
}

/** What pages show beside the files of a run. */
export type PictureFields = Pick<RunFacts, 'pictures' | 'picturesNote'>;

/**
 * Opens runs that are to be shown; each counts once. They may be going on; nothing is written.
 * @throws UserError where a folder holds no run
 */
export async function openRuns(paths: readonly string[], methods: MethodsWith<MethodDefinition>): Promise<ShownRun[]> {
  const folders = [...new Set(paths.map((path) => resolve(path)))];
  const names = folders.map((path) => basename(path));
  const runs: ShownRun[] = [];
  for (const [at, path] of folders.entries()) {
    const folder = runFolder(path);
    const given = paths.find((one) => resolve(one) === path) ?? path;
    if (!existsSync(folder.config)) {
      throw new UserError(`${given} holds no run`, {
        expected: 'the folder of a run, with its config.yaml',
        remedy: `see which there are: npx ${PROGRAM} runs; or name pictures with --data, for a network alone`,
      });
    }
    const name = names.filter((other) => other === names[at]).length > 1 ? given : names[at];
    runs.push({ name, folder, record: await readRunRecord(folder.config, methods), log: new LogColumns(folder) });
  }
  return runs;
}

/** What config.yaml says of how a run came about, as far as it does. */
const beginning = z
  .looseObject({
    started: z.string().optional(),
    versions: z.record(z.string(), z.string()).default({}),
    engine: z.object({ name: z.string(), device: z.string(), threads: z.number() }).optional(),
    ranks: z.number().default(1),
  })
  .catch({ versions: {}, ranks: 1 });

/**
 * What is known of runs now.
 * @param results files of results, and folders that are searched for them, beside the runs' own
 * @param pictures what is shown of each run beside its files
 * @param leftOut is told of results that cannot be read
 */
export async function reportFacts(
  runs: readonly ShownRun[],
  { results, refreshMs = null }: { results: readonly string[]; refreshMs?: number | null },
  pictures: readonly PictureFields[],
  leftOut: (reason: string) => void,
): Promise<ReportFacts> {
  const there = runs.filter(({ folder }) => existsSync(folder.path)).map(({ folder }) => folder.path);
  const places = [...there, ...results];
  const found = await findResults(places, ({ message }) => leftOut(message));
  const pixels = await findSegmentations(places, ({ message }) => leftOut(message));
  const facts: RunFacts[] = [];
  for (const [at, run] of runs.entries()) facts.push({ ...(await runFacts(run)), ...pictures[at] });
  return {
    writtenBy: `${PROGRAM} ${programVersion()}`,
    writtenAt: new Date().toISOString(),
    refreshMs,
    runs: facts,
    ...judged(runs, found, pixels),
  };
}

async function runFacts({ name, folder, record, log }: ShownRun) {
  log.readOn();
  const masks = await readFile(folder.masks).catch(() => null); // older runs have none
  return {
    name,
    about: about(record),
    options: optionFacts(record),
    standing: await standing(folder, record, log),
    curves: log.curves(),
    masks: masks && `data:image/png;base64,${masks.toString('base64')}`,
  };
}

function about({ method, options, run }: RunRecord<MethodDefinition>): Fact[] {
  const { started, versions, engine, ranks } = beginning.parse(run);
  const { imageSize, patchSize, backbone, epochs, batchSize, seed, data, initFrom, out } = options;
  const version = versions[PROGRAM] ?? 'of an unknown version';
  return [
    { name: 'method', value: `${method.title}: ${method.describe(options)}` },
    { name: 'data', value: `${run.data.images.toLocaleString('en-US')} images: ${data.join(', ')}` },
    { name: 'images', value: `${imageSize} px${backbone === 'vit' ? ` in patches of ${patchSize} px` : ''}` },
    ...(initFrom === null ? [] : [{ name: 'started from', value: initFrom }]),
    { name: 'length', value: `${epochs} epochs of batches of ${batchSize}, seed ${seed}` },
    ...(engine
      ? [
          {
            name: 'engine',
            value: `${engine.name} ${versions.engine ?? ''}, ${engine.device}, threads: ${engine.threads}`,
          },
        ]
      : []),
    ...(ranks > 1 ? [{ name: 'ranks', value: String(ranks) }] : []),
    ...(started ? [{ name: 'started', value: `${started.slice(0, 16).replace('T', ' ')} UTC` }] : []),
    { name: 'program', value: `${PROGRAM} ${version}, Node ${versions.node ?? 'of an unknown version'}` },
    { name: 'folder', value: out ?? '' },
  ];
}

function optionFacts({ method, options }: RunRecord<MethodDefinition>): RunFacts['options'] {
  return Object.entries(schemaOf(method)).map(([name, option]) => {
    const value = options[name as keyof typeof options];
    return {
      name: flagOf(name, { ...option, default: false }),
      value: formatValue(option, value),
      isUsual: JSON.stringify(value) === JSON.stringify(option.default),
    };
  });
}

async function standing(folder: RunFolder, record: RunRecord, log: LogColumns): Promise<Standing> {
  const { epochs, batchSize } = record.options;
  const totalSteps = epochs * stepsPerEpoch(record.run.data.images, batchSize);
  const { step = 0, epoch = 0 } = log.last ?? {};
  const isThere = existsSync(folder.config);
  const speed = log.imagesPerSecond;
  const { state, reason, verdicts, probe } = await standingOf(folder, step === totalSteps);
  return {
    ...(isThere ? { state, reason } : { state: 'gone' as const, reason: 'its folder is not there any more' }),
    ...{ step, totalSteps, epoch, epochs },
    imagesPerSecond: speed,
    secondsLeft: speed === null || speed <= 0 ? null : ((totalSteps - step) * batchSize) / speed,
    probe,
    verdicts: Object.entries(verdicts).map(([monitor, verdict]) => ({ monitor, ...verdict })),
  };
}

/** Results of the runs, and tables of them; random weights that were measured beside them stand in these. */
function judged(
  runs: readonly ShownRun[],
  found: readonly Found<EvaluationResult>[],
  pixels: readonly Found<SegmentationResult>[],
) {
  const own = ownOf(runs, found);
  const ownPixels = ownOf(runs, pixels);
  const tables = evaluationTables(
    [...own, ...besideThem(own, found)].map(({ result }) => result),
    PUBLISHED,
    [...ownPixels, ...besideThem(ownPixels, pixels)].map(({ result }) => result),
  );
  const isOwn = ({ groups }: (typeof tables)[number]) =>
    groups.some(({ rows }) => rows.some(({ source }) => source === 'measured'));
  return {
    tables: tables.filter(isOwn).map(tableFacts),
    evaluations: own.map(({ name, result }) => evaluationFacts(name, result)),
  };
}

type OfNetwork = Pick<EvaluationResult, 'network'>;

function ownOf<Result extends OfNetwork>(runs: readonly ShownRun[], found: readonly Found<Result>[]) {
  return runs.flatMap(({ name, folder }) =>
    found.filter((one) => isResultOf(folder, one)).map((one) => ({ name, ...one })),
  );
}

/** Random weights in the same files. */
function besideThem<Result extends OfNetwork>(own: readonly Found<Result>[], found: readonly Found<Result>[]) {
  const files = new Set(own.map(({ path }) => path));
  return found.filter(({ path, result }) => files.has(path) && result.network.weights === 'random');
}
