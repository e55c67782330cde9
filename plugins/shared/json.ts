import type { z } from 'zod';
import { PluginError, parseJson } from '../../core/plugin.js';
import { readText } from './files.js';

const DAMAGED = 'the file is cut or changed: get it anew from its source';

/**
 * Reads a JSON file of a known form.
 * @param what it should hold, for people
 * @throws PluginError that names the line, or the entry, that is wrong
 */
export async function readJson<T>(path: string, form: z.ZodType<T>, what: string): Promise<T> {
  const text = await readText(path);
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    throw new PluginError(`${path} is not JSON: ${error instanceof Error ? error.message : error}`, {
      expected: what,
      remedy: DAMAGED,
    });
  }
  return check(value, form, { path, what, at: [] });
}

/** Where a list of a JSON file stands, for messages. */
export interface JsonPlace {
  path: string;
  /** What the file should hold. */
  what: string;
  at: readonly PropertyKey[];
}

/**
 * The entries of a list, each checked when its turn comes. A form that checks a whole list complains of every entry, which
 * takes a hundred times the room of a file that is wrong throughout.
 * @throws PluginError that names the first entry that is wrong
 */
export function* entriesOf<T>(list: readonly unknown[], form: z.ZodType<T>, place: JsonPlace): Generator<T> {
  for (const [index, entry] of list.entries()) yield check(entry, form, { ...place, at: [...place.at, index] });
}

function check<T>(value: unknown, form: z.ZodType<T>, { path, what, at }: JsonPlace): T {
  const result = form.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const place = [...at, ...(issue?.path ?? [])].join('.') || 'its top level';
  throw new PluginError(`${path} is not as it should be at ${place}: ${issue?.message}`, {
    expected: what,
    remedy: DAMAGED,
  });
}
