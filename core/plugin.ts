import { UserError } from './base/errors.js';
import { textOf as coreTextOf } from './base/text.js';

export { bytesOfName, nameFromBytes, shownName, systemPath } from './base/file-names.js';
export { parseTrustedJson as parseJson } from './base/text.js';
export type * from './contract/data-sets.js';
export type * from './contract/monitors.js';
export type * from './contract/objectives.js';
export type { Plugin } from './plugins/plugin.js';

/** A problem that the user can mend: what is wrong, what was expected, what to do. */
export class PluginError extends Error {
  override readonly name = 'PluginError';

  /** A plugin may bring a copy of this class: the name tells. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof Error && value.name === 'PluginError';
  }

  constructor(
    problem: string,
    readonly advice: { expected?: string; remedy?: string } = {},
  ) {
    super(problem);
  }
}

/**
 * The text that bytes are, without a byte order mark.
 * @param path where they come from, for messages
 * @throws PluginError if they are UTF-16
 */
export function textOf(bytes: Uint8Array, path: string): string {
  try {
    return coreTextOf(bytes, path);
  } catch (error) {
    throw asPluginError(error);
  }
}

/**
 * What the program knows of WebDataset shards, for plugins.
 * @throws PluginError where the use does something that the user can mend
 */
export async function withShards<T>(use: (shards: typeof import('./data/shards/tools.js')) => Promise<T>): Promise<T> {
  return asPluginProblem(use(await import('./data/shards/tools.js')));
}

/** What the program knows of folders and lists of images, for plugins; throws as `withShards` does. */
export async function withFiles<T>(use: (files: typeof import('./data/listing/tools.js')) => Promise<T>): Promise<T> {
  return asPluginProblem(use(await import('./data/listing/tools.js')));
}

async function asPluginProblem<T>(work: Promise<T>): Promise<T> {
  return work.catch((error: unknown) => {
    throw asPluginError(error);
  });
}

function asPluginError(error: unknown): unknown {
  return error instanceof UserError ? new PluginError(error.message, error.advice) : error;
}
