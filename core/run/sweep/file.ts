import { resolve } from 'node:path';
import { z } from 'zod';
import { UserError, unknownName } from '../../base/errors.js';
import { configFrom, loadConfiguration } from '../../config/file.js';
import { type MethodOptions, schemaOf } from '../../config/schema.js';

type Entries = Readonly<Record<string, unknown>>;

const number = z.number();
const ordered = z.tuple([number, number]).refine(([from, to]) => from < to);
/** How a value is drawn: uniformly from an interval, in its logarithm, as a whole number, or as one of some. */
const drawSchema = z.union([
  ordered,
  z.strictObject({ log: ordered.refine(([from]) => from > 0) }),
  z.strictObject({ ints: ordered.refine((ends) => ends.every(Number.isSafeInteger)) }),
  z.strictObject({ choice: z.array(z.unknown()).min(1) }),
]);
export type Draw = z.infer<typeof drawSchema>;

const entries = z.record(z.string(), z.unknown());
const count = z.int().min(1);
const randomSchema = z
  .object({ trials: count, seed: z.int().min(0).default(0) })
  .catchall(drawSchema)
  .refine((random) => Object.keys(random).length > 2);
/** By what trials are sorted. */
export const MEASURES = ['logistic', 'neighbours'] as const;

const sweepSchema = z.strictObject({
  base: entries.default({}),
  variants: z.array(entries.refine(isFilled)).min(1).optional(),
  grid: z.record(z.string(), z.array(z.unknown()).min(1)).refine(isFilled).optional(),
  random: randomSchema.optional(),
  seeds: count.default(1),
  probe: z.strictObject({
    data: z.string().min(1),
    neighbours: count.optional(),
    measure: z.enum(MEASURES).default('logistic'),
  }),
});

/** What a sweep is asked for. */
export type SweepAsked = z.infer<typeof sweepSchema>;
export type SweepFile = SweepAsked & { path: string };

const EXPECTED: Readonly<Record<string, string>> = {
  base: 'options of all trials by name, for example base: { preset: cpu-small, data: [photos], epochs: 20 }',
  variants: 'a list of entries that go together, for example variants: [{ method: mae, batchSize: 64 }]',
  grid: 'a list of values for each option, for example grid: { learningRate: [1e-3, 3e-3] }',
  random:
    'how many trials, and for each option [FROM, TO], { log: [FROM, TO] }, { ints: [FROM, TO] } or { choice: [A, B] }, ' +
    'for example random: { trials: 20, learningRate: { log: [1e-4, 1e-2] } }',
  seeds: 'a whole number from 1: runs of each trial, with seeds from 0',
  probe: `labelled data, and if wanted a number of neighbours and the measure to sort by (${MEASURES.join(', ')}), for example probe: { data: shapes:2048 }`,
};

/** Options that a sweep gives its runs itself, with what to write in their place. */
const OWN: Readonly<Record<string, string>> = {
  seed: 'write seeds: N beside base: every trial is trained with seeds from 0',
  out: 'leave it out: every run has a folder below --out',
};

/**
 * Reads what a sweep is asked for: `base`, `variants`, `grid`, `random`, `seeds` and `probe`, from YAML, JSON or a module.
 * @throws UserError that names the file and the entry
 */
export async function readSweepFile(path: string): Promise<SweepFile> {
  const file = resolve(path);
  const content = await loadConfiguration(path);
  if (content === null || typeof content !== 'object' || Array.isArray(content)) {
    throw new UserError(`${file} is not a sweep`, { expected: Object.keys(sweepSchema.shape).join(', ') });
  }
  const { success, data, error } = sweepSchema.safeParse(content);
  if (!success) throw refusal(file, content, error.issues[0]);
  if (!data.variants && !data.grid && !data.random) {
    throw new UserError(`${file} varies nothing`, { expected: `variants, grid or random; ${EXPECTED.grid}` });
  }
  const { preset, options } = configFrom(data.base, file);
  return { ...data, base: preset === undefined ? options : { preset, ...options }, path: file };
}

/** What a plan keeps of a file. @throws ZodError if it is something else */
export function parseAsked(asked: unknown): SweepAsked {
  return sweepSchema.parse(asked);
}

function refusal(file: string, content: object, issue: z.core.$ZodIssue): UserError {
  const { path } = issue;
  if (issue.code === 'unrecognized_keys') {
    const known = path.length === 0 ? sweepSchema.shape : sweepSchema.shape.probe.shape;
    return unknownName('entry', issue.keys[0], Object.keys(known), [file, ...path].join(', '));
  }
  const place = path.map(String).join('.');
  const value = path.reduce<unknown>((part, key) => Object(part)[key], content);
  const expected = EXPECTED[String(path[0])];
  if (value === undefined) return new UserError(`${place} is missing in ${file}`, { expected });
  return new UserError(`${place} in ${file} cannot be ${JSON.stringify(value)}`, { expected });
}

/**
 * Checks the names of all options of a sweep.
 * @throws UserError for one that no method has, that is the sweep's own to give, or that is varied twice
 */
export function checkNames(
  { path, base, variants = [], grid = {}, random }: SweepFile,
  methods: readonly MethodOptions[],
) {
  const known = [...new Set(['preset', ...methods.flatMap((method) => Object.keys(schemaOf(method)))])];
  const check = (section: string, given: Entries, more: readonly string[] = []) => {
    const where = `${section} of ${path}`;
    for (const name of Object.keys(given).filter((one) => !more.includes(one))) {
      if (OWN[name]) throw new UserError(`${name} cannot stand in ${where}`, { remedy: OWN[name] });
      if (name === 'plugins' && section !== 'base') {
        throw new UserError(`plugins cannot stand in ${where}`, {
          remedy: 'write them in base: all trials have the same',
        });
      }
      if (!known.includes(name)) throw unknownName('option', name, [...known, ...more], where);
    }
  };
  const drawn = drawsOf(random);
  check('base', base);
  for (const variant of variants) check('variants', variant, ['name']);
  check('grid', grid);
  check('random', drawn);
  const varied = [new Set(variants.flatMap(Object.keys)), new Set(Object.keys(grid)), new Set(Object.keys(drawn))];
  const twice = varied.flatMap((set) => [...set]).find((name, at, all) => all.indexOf(name) < at);
  if (twice !== undefined) {
    throw new UserError(`${twice} is varied twice in ${path}`, { expected: 'it in one of variants, grid and random' });
  }
}

/** How the value of each option is drawn. */
export function drawsOf(random: SweepAsked['random']): Readonly<Record<string, Draw>> {
  const { trials: _, seed: __, ...draws } = random ?? { trials: 0, seed: 0 };
  return draws as Readonly<Record<string, Draw>>;
}

function isFilled(given: object): boolean {
  return Object.keys(given).length > 0;
}
