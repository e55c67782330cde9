import { unknownName } from '../base/errors.js';
import type { ConfigFile } from './file.js';
import type { MethodOptions } from './schema.js';

/** What can give options, from weakest to strongest. */
export interface OptionSources<M extends MethodOptions = MethodOptions> {
  /** The first is the usual one. */
  methods: readonly M[];
  preset?: string | undefined;
  file?: Pick<ConfigFile, 'path' | 'preset' | 'options'> | undefined;
  /** Words of the command line, or values. */
  flags: Readonly<Record<string, unknown>>;
}

/**
 * The method of a run: the one that is named, or that of the preset, or the usual one.
 * @throws UserError with the nearest name where there is no such method or preset
 */
export function chooseMethod<M extends MethodOptions>(sources: OptionSources<M>): M {
  const { methods, file, flags } = sources;
  if (flags.method !== undefined) return findMethod(methods, String(flags.method), '');
  if (file?.options.method !== undefined) return findMethod(methods, String(file.options.method), file.path);
  return findPreset(sources)?.method ?? methods[0];
}

/** @throws UserError with the nearest name where there is none */
export function findMethod<M extends MethodOptions>(methods: readonly M[], name: string, where: string): M {
  const found = methods.find((method) => method.name === name);
  if (found) return found;
  const names = methods.map((method) => method.name);
  throw unknownName('method', name, names, where);
}

/**
 * A preset, and the method that brings it.
 * @throws UserError with the nearest name where there is none of that name
 */
export function findPreset<M extends MethodOptions>({ methods, preset, file }: OptionSources<M>) {
  const name = preset ?? file?.preset;
  if (name === undefined) return null;
  const method = methods.find(({ presets }) => Object.hasOwn(presets, name));
  if (method) return { name, method, values: method.presets[name].options };
  const names = methods.flatMap(({ presets }) => Object.keys(presets));
  throw unknownName('preset', name, names, preset === undefined ? file?.path : '');
}
