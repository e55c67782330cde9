import { join } from 'node:path';
import { z } from 'zod';
import { readDuration } from '../../base/console.js';
import { UserError } from '../../base/errors.js';
import { PROGRAM } from '../../base/program.js';
import { flagOf, formatValue, type OptionTable } from '../../config/option.js';
import { dataSchema } from '../trials/data-facts.js';
import { readPlanFile, writePlanFile } from '../trials/plan-file.js';

const FORMAT = `${PROGRAM}-comparison-plan-1` as const;
/** Begins the name of a comparison's lock. */
const LOCK = 'compare.lock';

const size = z.int().min(1);

const askedSchema = z.object({
  /** Names of methods, in the order of rows. */
  methods: z.array(z.string()).min(1),
  data: z.string(),
  seeds: size,
  /** Training time of each run, as it was written: '30m'; null where epochs were asked for. */
  budget: z.string().nullable(),
  epochs: size.nullable(),
  imageSize: size,
  patchSize: size,
  dim: size,
  depth: size,
  heads: size,
  batchSize: size,
});

const planSchema = z.object({
  format: z.literal(FORMAT),
  asked: askedSchema,
  data: dataSchema,
  stepsPerEpoch: size,
  methods: z.array(
    z.object({
      name: z.string(),
      /** The method's own preset for small models; null where it has none, and its defaults are used. */
      preset: z.string().nullable(),
      epochs: size,
      /** Of the calibration; null where epochs were asked for. */
      secondsPerStep: z.number().nullable(),
    }),
  ),
});

/** What is to be compared. */
export type Asked = z.infer<typeof askedSchema>;
/** What was given of it on a command line: null, or no methods, where it was not. */
export type Given = { readonly [Name in keyof Asked]: Asked[Name] | null };
/** What is compared, and for how many epochs: it is fixed when a comparison begins, so that runs are the same ever after. */
export type Plan = z.infer<typeof planSchema>;

/** The files of a comparison. */
export function comparisonFolder(path: string) {
  return {
    path,
    plan: join(path, 'plan.json'),
    lock: join(path, LOCK),
    facts: join(path, 'compare.json'),
    table: join(path, 'compare.md'),
    chart: join(path, 'compare.png'),
    run: (name: string, seed: number) => join(path, `${name}-${seed}`),
    /** What was measured of a run, of random weights or of pixels. */
    probe: (name: string) => join(path, 'probes', `${name}.json`),
  };
}

/**
 * The plan of the comparison in a folder; null where one may begin there.
 * @throws UserError if the folder holds something else, or a plan that cannot be read
 */
export function readPlan(path: string): Promise<Plan | null> {
  return readPlanFile({ ...comparisonFolder(path), lockName: LOCK }, planSchema, 'comparison');
}

export function writePlan(path: string, plan: Omit<Plan, 'format'>): Promise<Plan> {
  return writePlanFile(comparisonFolder(path).plan, planSchema, { format: FORMAT, ...plan });
}

/**
 * Refuses what differs from what a comparison was begun with.
 * @param flags the options by which it is asked for
 * @throws UserError that names the option and both values
 */
export function requireSameComparison(given: Given, { asked }: Plan, flags: OptionTable): void {
  for (const [name, value] of Object.entries(given)) {
    const before = asked[name as keyof Asked];
    if (value === null || isSame(name, value, before)) continue;
    const option = flags[name];
    const flag = flagOf(name, option);
    const [was, now] = [formatValue(option, before), formatValue(option, value)];
    throw new UserError(`${flag} cannot change when a comparison goes on: it was ${was}, and now is ${now}`, {
      expected: 'the options that the comparison was begun with, or --out alone',
      remedy: `leave ${flag} out, or begin another comparison with another --out`,
    });
  }
}

function isSame(name: string, a: unknown, b: unknown): boolean {
  const normal = (value: unknown) => (name === 'budget' && typeof value === 'string' ? readDuration(value) : value);
  return JSON.stringify(normal(a)) === JSON.stringify(normal(b));
}
