import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { readDuration } from '../../base/console.js';
import { UserError } from '../../base/errors.js';
import { PROGRAM } from '../../base/program.js';
import { NONE } from '../../config/option.js';
import { resolveOptions } from '../../config/resolve.js';
import type { MethodDefinition } from '../../methods/method.js';
import { dataSchema } from '../trials/data-facts.js';
import { readPlanFile, writePlanFile } from '../trials/plan-file.js';
import type { PlannedRun } from '../trials/run-trials.js';
import { parseAsked, type SweepAsked, type SweepFile } from './file.js';
import { type Trial, trialsOf } from './trials.js';

const FORMAT = `${PROGRAM}-sweep-plan-1` as const;
/** Begins the name of a sweep's lock. */
const LOCK = 'sweep.lock';

/** Trials are compared: all start from random weights, as those of a preset would fit some encoders and not others. */
const FRESH: Readonly<Record<string, unknown>> = { initFrom: null };

const lengthSchema = z.object({
  /** That fit into the budget, or in which a run sees as many images as it is to see; null where epochs are options. */
  epochs: z.int().min(1).nullable(),
  totalSteps: z.int().min(1),
  /** Of the calibration; null where there was none. */
  secondsPerStep: z.number().nullable(),
});

const planSchema = z.object({
  format: z.literal(FORMAT),
  /** What the file said, by its sections. */
  asked: z.record(z.string(), z.unknown()),
  /** Training time of each run, as it was written: '30m'; null where epochs are options. */
  budget: z.string().nullable(),
  data: dataSchema,
  /** How long each run of a trial is, by the trial's name. */
  lengths: z.record(z.string(), lengthSchema),
});
export type RunLength = z.infer<typeof lengthSchema>;
export type SweepPlan = z.infer<typeof planSchema>;

/** The files of a sweep. */
export function sweepFolder(path: string) {
  return {
    path,
    plan: join(path, 'plan.json'),
    lock: join(path, LOCK),
    facts: join(path, 'sweep.json'),
    table: join(path, 'table.md'),
    csv: join(path, 'table.csv'),
    run: ({ name }: Pick<Trial, 'name'>, seed: number) => join(path, `${name}_seed-${seed}`),
    /** What was measured of a run, of random weights or of pixels. */
    probe: (name: string) => join(path, 'probes', `${name}.json`),
  };
}

/**
 * The plan of the sweep in a folder; null where one may begin there.
 * @throws UserError if the folder holds something else, or a plan that cannot be read
 */
export function readSweepPlan(path: string): Promise<SweepPlan | null> {
  return readPlanFile({ ...sweepFolder(path), lockName: LOCK }, planSchema, 'sweep');
}

export function writeSweepPlan(path: string, plan: Omit<SweepPlan, 'format'>): Promise<SweepPlan> {
  return writePlanFile(sweepFolder(path).plan, planSchema, { format: FORMAT, ...plan });
}

/** What a file says, without its place. */
export function askedOf({ path: _, ...asked }: SweepFile): SweepAsked {
  return asked;
}

/**
 * The file of a sweep that goes on. It may name options in another order than before; those of the plan hold, as names of
 * runs and the order of trials come from it. In lists the order says what is trained and drawn, and has to be the same.
 * @throws UserError for the first section of the file, or a budget, that is not what the sweep was begun with
 */
export function sameSweep(
  file: SweepFile,
  budget: string | null,
  { asked: before, budget: had }: Pick<SweepPlan, 'asked' | 'budget'>,
): SweepFile {
  if (budget !== null && (had === null || readDuration(budget) !== readDuration(had))) {
    throw new UserError(`--budget cannot change when a sweep goes on: it was ${had ?? NONE}, and now is ${budget}`, {
      expected: 'the budget that the sweep was begun with',
      remedy: 'leave --budget out, or begin another sweep with another --out',
    });
  }
  const asked: Readonly<Record<string, unknown>> = JSON.parse(JSON.stringify(askedOf(file))); // as a plan keeps it
  const isOther = (section: string) => !isDeepStrictEqual(asked[section], before[section]);
  const changed = Object.keys({ ...before, ...asked }).find(isOther);
  if (changed === undefined) return { ...parseAsked(before), path: file.path };
  throw new UserError(`${changed} in ${file.path} is not what the sweep was begun with`, {
    expected: `${changed}: ${JSON.stringify(before[changed]) ?? 'nothing'}`,
    remedy: 'put it back as it was, or begin another sweep with another --out',
  });
}

/**
 * The runs of a sweep: all trials with one seed before the next seed.
 * @param lengthOf how long the runs of a trial of this name are
 * @throws UserError for options that are wrong
 */
export function plannedRuns(
  file: SweepFile,
  methods: readonly MethodDefinition[],
  out: string,
  lengthOf: (name: string) => RunLength,
): PlannedRun[] {
  const trials = trialsOf(file);
  const seeds = Array.from({ length: file.seeds }, (_, seed) => seed);
  return seeds.flatMap((seed) =>
    trials.map((trial): PlannedRun => {
      const { name, title } = trial;
      const place = sweepFolder(out).run(trial, seed);
      const { preset, ...options } = { ...FRESH, ...file.base, ...trial.values };
      const named = requirePresetName(preset, file.path);
      requireOneLength(options, title, file.path);
      const { epochs, ...length } = lengthOf(name);
      const flags = { seed, out: place, ...(epochs !== null && { epochs }) };
      const resolved = resolveOptions({
        methods,
        file: { path: file.path, preset: named, options },
        flags,
      });
      return { name, title, seed, ...length, out: place, resolved };
    }),
  );
}

function requireOneLength({ epochs, imagesSeen }: Readonly<Record<string, unknown>>, title: string, path: string) {
  if (epochs === undefined || imagesSeen == null) return;
  throw new UserError(`epochs and imagesSeen in ${path} both say how long the trial ${title} is`, {
    expected: 'one of them',
    remedy: 'leave one out',
  });
}

function requirePresetName(preset: unknown, path: string): string | undefined {
  if (preset === undefined || typeof preset === 'string') return preset;
  throw new UserError(`preset in ${path} is not a name`, { expected: 'the name of a preset' });
}
