import type { z } from 'zod';
import { PluginError } from '../../core/plugin.js';
import { readText } from './files.js';

/**
 * Reads a JSON file of a known form.
 * @param what it should hold, for people
 * @throws PluginError that names the line, or the entry, that is wrong
 */
export async function readJson<T>(path: string, form: z.ZodType<T>, what: string): Promise<T> {
  const text = await readText(path);
  const remedy = 'the file is cut or changed: get it anew from its source';
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new PluginError(`${path} is not JSON: line ${errorLine(text, reason)}: ${reason.split('\n')[0]}`, {
      expected: what,
      remedy,
    });
  }
  const result = form.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const place = issue?.path.join('.') || 'its top level';
  throw new PluginError(`${path} is not as it should be at ${place}: ${issue?.message}`, { expected: what, remedy });
}

/**
 * The line, from 1, at which JSON.parse stopped. Its message tells the position, or quotes the text around it, or says
 * that the text ended.
 */
function errorLine(text: string, reason: string): number {
  const position = /at position (\d+)/.exec(reason)?.[1];
  const quoted = /^Unexpected token .*?, (?:\.\.\.)?"(.*?)"(?:\.\.\.)? is not valid JSON$/s.exec(reason)?.[1];
  const at = position !== undefined ? Number(position) : quoted === undefined ? -1 : text.indexOf(quoted);
  return (at < 0 ? text.trimEnd() : text.slice(0, at + Math.floor((quoted?.length ?? 0) / 2))).split('\n').length;
}
