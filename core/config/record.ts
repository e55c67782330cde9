import { stringify } from 'yaml';
import { z } from 'zod';
import { writeFileAtomically } from '../atomic.js';
import type { Engine } from '../engine/contract.js';
import { reasonOf, UserError } from '../errors.js';
import type { ImageCollection } from '../plugin.js';
import { readText } from '../text.js';
import { programVersion } from '../version.js';
import { AUTO, formatValue, type Option } from './option.js';
import type { ResolvedOptions } from './resolve.js';
import { flagOf, OPTION_NAMES, OPTIONS, type OptionName, type Options } from './schema.js';
import { automaticValues } from './settings.js';
import { validateOptions } from './validate.js';
import { LARGEST_CONFIGURATION, parseYaml } from './yaml.js';

/** Options that runs of earlier versions did not have: they went by the defaults. */
const LATER = [
  'plugins',
  'shuffleBuffer',
  'decodeThreads',
  'cache',
  'cacheMegabytes',
  'monitors',
  'saveEverySteps',
  'saveEveryMinutes',
] as const;

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
  return { options, run };
}

/** Writes a run's config.yaml: every option, and how the run came about. */
export async function writeRunRecord(path: string, { options, run }: RunRecord): Promise<void> {
  const values = Object.entries(options).map(([name, value]) => {
    const { automatic }: Option<unknown> = OPTIONS[name as OptionName];
    return [name, value === null && automatic !== undefined ? AUTO : value];
  });
  const head = '# Every option of this run. --config with this file gives them to another one.\n';
  await writeFileAtomically(path, head + stringify({ ...Object.fromEntries(values), run }));
}

/**
 * Reads a run's config.yaml.
 * @throws UserError if it is not whole
 */
export async function readRunRecord(path: string): Promise<RunRecord> {
  const content = parseRecord(path, await readText(path, LARGEST_CONFIGURATION));
  const { run, ...recorded } = z.record(z.string(), z.unknown()).catch({}).parse(content);
  const values = { ...Object.fromEntries(LATER.map((name) => [name, OPTIONS[name].default])), ...recorded };
  const section = runSection.safeParse(run);
  const options = validateOptions(values, path);
  const missing = OPTION_NAMES.find((name) => options[name] === undefined);
  if (missing !== undefined || !section.success) {
    throw new UserError(`${path} is not a whole record of a run: ${missing ?? 'its section run'} is missing`, {
      expected: 'the config.yaml as the run wrote it',
      remedy: 'put it back as it was; if this is the file of something else, choose another --out',
    });
  }
  return { options: options as Options, run: section.data };
}

/**
 * The options with which a run goes on: its own, but for those that may change and were given anew.
 * @throws UserError for an option that was given another value and may not change
 */
export function compareWithRun({ options, origins }: ResolvedOptions, recorded: Options): Options {
  const changed: Record<string, unknown> = {};
  for (const name of OPTION_NAMES) {
    if (origins[name] === 'default' || JSON.stringify(options[name]) === JSON.stringify(recorded[name])) continue;
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
