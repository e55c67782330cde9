import { stringify } from 'yaml';
import { z } from 'zod';
import { writeFileAtomically } from '../base/atomic.js';
import { reasonOf, UserError } from '../base/errors.js';
import { readText } from '../base/text.js';
import { programVersion } from '../base/version.js';
import type { Engine } from '../engine/contract.js';
import type { ImageCollection } from '../plugin.js';
import { AUTO, formatValue, type Option } from './option.js';
import { isFromPreset, type ResolvedOptions } from './resolve.js';
import { flagOf, OPTION_NAMES, OPTIONS, type OptionName, type Options, valueBefore } from './schema.js';
import { automaticValues } from './settings.js';
import { validateOptions, withoutRemoved } from './validate.js';
import { LARGEST_CONFIGURATION, parseYaml } from './yaml.js';

/** What a run's config.yaml says of how the run came about. */
const runSection = z.looseObject({
  /** Images computed at once, which decides the last bits of every result. */
  microBatchSize: z.int().min(1),
  data: z.looseObject({ fingerprint: z.string(), images: z.int().min(1) }),
  /** The plugins that brought what the run is made of: { 'loss l2': 'objectives' }. */
  broughtBy: z.record(z.string(), z.string()).default({}),
});

/** What a run's config.yaml records. */
export interface RunRecord {
  options: Options;
  /** Options that it does not name, because it is older than they are. */
  lacking: readonly OptionName[];
  run: z.infer<typeof runSection>;
}

/** The record of a run that starts now. */
export function newRunRecord(
  options: Options,
  microBatchSize: number,
  engine: Engine,
  images: ImageCollection,
  broughtBy: Readonly<Record<string, string>>,
): RunRecord {
  const { name, version, device, threads } = engine;
  const run = {
    started: new Date().toISOString(),
    versions: { ijepa: programVersion(), node: process.versions.node, engine: version },
    engine: { name, device, threads },
    microBatchSize,
    data: { images: images.length, fingerprint: images.fingerprint },
    broughtBy,
  };
  return { options, lacking: [], run };
}

/** Writes a run's config.yaml: every option, and how the run came about. */
export async function writeRunRecord(
  path: string,
  { options, run }: Pick<RunRecord, 'options' | 'run'>,
): Promise<void> {
  const values = Object.entries(options).map(([name, value]) => {
    const { automatic }: Option<unknown> = OPTIONS[name as OptionName];
    return [name, value === null && automatic !== undefined ? AUTO : value];
  });
  const head = '# Every option of this run. --config with this file gives them to another one.\n';
  await writeFileAtomically(path, head + stringify({ ...Object.fromEntries(values), run }));
}

/**
 * Reads a run's config.yaml. Options that it lacks have the value that runs had before there were such options; those that
 * there are no more are passed over, for they were removed because they changed nothing.
 * @throws UserError if it is not whole
 */
export async function readRunRecord(path: string): Promise<RunRecord> {
  const content = parseRecord(path, await readText(path, LARGEST_CONFIGURATION));
  const { run, ...recorded } = z.record(z.string(), z.unknown()).catch({}).parse(content);
  const section = runSection.safeParse(run); // the last one of the file
  if (!section.success) {
    throw new UserError(`${path} is not a whole record of a run: its section run is missing`, {
      expected: 'the config.yaml as the run wrote it',
      remedy: 'put it back as it was; if this is the file of something else, choose another --out',
    });
  }
  const given = validateOptions(withoutRemoved(recorded).options, path);
  const lacking = OPTION_NAMES.filter((name) => given[name] === undefined);
  const before = Object.fromEntries(lacking.map((name) => [name, valueBefore(name)]));
  const options = Object.fromEntries(OPTION_NAMES.map((name) => [name, { ...given, ...before }[name]]));
  return { options: options as unknown as Options, lacking, run: section.data };
}

/**
 * The options with which a run goes on: its own, but for those that may change and were given anew.
 * @throws UserError for an option that was given another value and may not change
 */
export function compareWithRun(
  { options, origins }: ResolvedOptions,
  { options: recorded, lacking }: Pick<RunRecord, 'options' | 'lacking'>,
): Options {
  const changed: Record<string, unknown> = {};
  for (const name of OPTION_NAMES) {
    if (origins[name] === 'default' || JSON.stringify(options[name]) === JSON.stringify(recorded[name])) continue;
    // The preset of a run has learned of the option since.
    if (lacking.includes(name) && isFromPreset(origins[name])) continue;
    const option: Option<unknown> = OPTIONS[name];
    if (!option.mayChange) {
      const [was, now] = [formatValue(option, recorded[name]), formatValue(option, options[name])];
      throw new UserError(
        `${flagOf(name)} cannot change when a run goes on: it was ${was}, ${origins[name]} says ${now}`,
        {
          expected: 'the options that the run was started with',
          remedy: `leave ${flagOf(name)} out, or start a new run with another --out`,
        },
      );
    }
    changed[name] = options[name];
  }
  return { ...recorded, ...changed };
}

/** All options as YAML, each with where its value comes from and what `auto` means. */
export function describeOptions({ options, origins }: ResolvedOptions): string {
  const chosen = automaticValues(options);
  const lines = OPTION_NAMES.map((name) => {
    const { automatic }: Option<unknown> = OPTIONS[name];
    const isAutomatic = options[name] === null && automatic !== undefined;
    const value = isAutomatic ? AUTO : JSON.stringify(options[name]);
    const choice = chosen[name] === undefined ? '' : ` (here ${chosen[name]})`;
    return `${`${name}: ${value}`.padEnd(36)} # ${origins[name]}${isAutomatic ? `: ${automatic}${choice}` : ''}`;
  });
  return lines.join('\n');
}

function parseRecord(path: string, content: string): unknown {
  try {
    return parseYaml(content);
  } catch (error) {
    throw new UserError(`${path} is not YAML: ${reasonOf(error)}`);
  }
}
