import { unknownName } from '../base/errors.js';
import type { ConfigFile } from './file.js';
import { PRESET_NAMES, PRESETS, type Preset, type PresetName } from './presets.js';
import { OPTION_NAMES, OPTIONS, type OptionName, type Options } from './schema.js';
import { type GivenOptions, validateOptions } from './validate.js';

/** Options with a value each, and where each value comes from, for people. */
export interface ResolvedOptions {
  options: Options;
  origins: Readonly<Record<OptionName, string>>;
}

const COMMAND_LINE = 'the command line';
const PRESET = 'preset ';

/** What can give options, from weakest to strongest. */
export interface OptionSources {
  preset?: string | undefined;
  file?: Pick<ConfigFile, 'path' | 'preset' | 'options'> | undefined;
  flags: GivenOptions;
}

/**
 * Resolves every option: defaults, then the preset, then the configuration file, then flags.
 * @throws UserError for an unknown preset or option, or a value that is not allowed
 */
export function resolveOptions({ preset, file, flags }: OptionSources): ResolvedOptions {
  const layers: { origin: string; values: Partial<Options> }[] = [];
  const presetName = preset ?? file?.preset;
  if (presetName !== undefined) {
    const where = preset === undefined && file ? file.path : '';
    layers.push({ origin: PRESET + presetName, values: findPreset(presetName, where).options });
  }
  if (file) layers.push({ origin: file.path, values: validateOptions(file.options, file.path) });
  layers.push({ origin: 'flag', values: validateOptions(flags, COMMAND_LINE) });

  const options: Record<string, unknown> = {};
  const origins: Record<string, string> = {};
  for (const name of OPTION_NAMES) {
    const layer = layers.findLast(({ values }) => values[name] !== undefined);
    options[name] = layer ? layer.values[name] : OPTIONS[name].default;
    origins[name] = layer ? layer.origin : 'default';
  }
  return { options: options as Options, origins: origins as Record<OptionName, string> };
}

/** Where an option's value was given, for messages; empty where it is the default. */
export function placeOf({ origins }: ResolvedOptions, name: OptionName): string {
  const origin = origins[name];
  if (origin === 'default') return '';
  return origin === 'flag' ? COMMAND_LINE : origin;
}

/** Whether a value comes from a preset, by what is said of its origin. */
export function isFromPreset(origin: string): boolean {
  return origin.startsWith(PRESET);
}

function findPreset(name: string, where: string): Preset {
  if (!Object.hasOwn(PRESETS, name)) throw unknownName('preset', name, PRESET_NAMES, where);
  return PRESETS[name as PresetName];
}
