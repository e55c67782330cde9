import { stringify } from 'yaml';
import { z } from 'zod';
import { writeFileAtomically } from '../base/atomic.js';
import { reasonOf, UserError } from '../base/errors.js';
import { mapValues } from '../base/map-values.js';
import { readText } from '../base/text.js';
import { findMethod } from './choose-method.js';
import { LARGEST_CONFIGURATION, parseYaml } from './file.js';
import { AUTO, flagOf, formatValue } from './option.js';
import { type ResolvedOptions, validateOptions, withDefaults } from './resolve.js';
import { type MethodOptions, type Options, schemaOf } from './schema.js';
import { batchSizeFor } from './settings.js';

/** What a run's config.yaml says of how the run came about. */
const runSection = z.looseObject({
  /** Images computed at once, which decides the last bits of every result. */
  microBatchSize: z.int().min(1),
  data: z.looseObject({ fingerprint: z.string(), images: z.int().min(1) }),
  /** The plugins that brought what the run is made of: { 'loss l2': 'objectives' }. */
  broughtBy: z.record(z.string(), z.string()).default({}),
});

/** What a run's config.yaml records. */
export interface RunRecord<M extends MethodOptions = MethodOptions> {
  method: M;
  options: Options;
  run: z.infer<typeof runSection>;
}

/** Writes a run's config.yaml: every option, and how the run came about. */
export async function writeRunRecord(path: string, { method, options, run }: RunRecord): Promise<void> {
  const values = mapValues(schemaOf(method), ({ automatic }, name) =>
    options[name] === null && automatic !== undefined ? AUTO : options[name],
  );
  const head = '# Every option of this run. --config with this file gives them to another one.\n';
  await writeFileAtomically(path, head + stringify({ ...values, run }));
}

/** The methods that there are with some plugins. */
export type MethodsWith<M extends MethodOptions = MethodOptions> = (
  plugins: readonly string[],
) => Promise<readonly M[]>;

/**
 * Reads a run's config.yaml.
 * @throws UserError if it is not whole, or of a method that is not there
 */
export async function readRunRecord<M extends MethodOptions>(
  path: string,
  methodsWith: MethodsWith<M>,
): Promise<RunRecord<M>> {
  const text = await readText(path, LARGEST_CONFIGURATION);
  let content: unknown;
  try {
    content = parseYaml(text);
  } catch (error) {
    throw new UserError(`${path} is not YAML: ${reasonOf(error)}`);
  }
  const { run, ...recorded } = z.record(z.string(), z.unknown()).catch({}).parse(content);
  const section = runSection.safeParse(run); // the last one of the file
  if (!section.success) {
    throw new UserError(`${path} is not a whole record of a run: its section run is missing`, {
      expected: 'the config.yaml as the run wrote it',
      remedy: 'put it back as it was; if this is the file of something else, choose another --out',
    });
  }
  const plugins = z.array(z.string()).catch([]).parse(recorded.plugins);
  const method = findMethod(await methodsWith(plugins), String(recorded.method), path);
  const schema = schemaOf(method);
  const given = validateOptions(recorded, path, schema);
  return { method, options: withDefaults(schema, given) as Options, run: section.data };
}

/**
 * The options with which a run goes on: its own, but for those that may change and were given anew.
 * @throws UserError for an option that was given another value and may not change
 */
export function compareWithRun(
  { options, origins, schema }: Pick<ResolvedOptions, 'options' | 'origins' | 'schema'>,
  { options: recorded, run }: Pick<RunRecord, 'options'> & { run?: Pick<RunRecord['run'], 'data'> },
): Options {
  const changed: Record<string, unknown> = {};
  for (const [name, option] of Object.entries(schema)) {
    if (name === 'epochs' && options.imagesSeen !== null) continue; // they follow from it
    if (name === 'batchSize' && run && batchSizeFor(options, run.data.images) === recorded.batchSize) continue;
    if (origins[name] === 'default' || JSON.stringify(options[name]) === JSON.stringify(recorded[name])) continue;
    if (!option.mayChange) {
      const flag = flagOf(name, option);
      const [was, now] = [formatValue(option, recorded[name]), formatValue(option, options[name])];
      throw new UserError(`${flag} cannot change when a run goes on: it was ${was}, ${origins[name]} says ${now}`, {
        expected: 'the options that the run was started with',
        remedy: `leave ${flag} out, or start a new run with another --out`,
      });
    }
    changed[name] = options[name];
  }
  return { ...recorded, ...changed } as Options;
}

/**
 * All options as YAML, each with where its value comes from and what `auto` means.
 * @param chosen what automatic options come to, by name
 */
export function describeOptions(resolved: ResolvedOptions, chosen: Readonly<Record<string, number>>): string {
  const { options, origins, schema } = resolved;
  const lines = Object.entries(schema).map(([name, { automatic }]) => {
    if (name === 'epochs' && options.imagesSeen !== null) return '# epochs: those in which a run sees imagesSeen';
    const isAutomatic = options[name] === null && automatic !== undefined;
    const value = isAutomatic ? AUTO : JSON.stringify(options[name]);
    const choice = chosen[name] === undefined ? '' : ` (here ${chosen[name]})`;
    return `${`${name}: ${value}`.padEnd(36)} # ${origins[name]}${isAutomatic ? `: ${automatic}${choice}` : ''}`;
  });
  return lines.join('\n');
}
