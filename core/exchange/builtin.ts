import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { unknownName } from '../base/errors.js';
import { WEIGHTS } from './model-folder.js';

/* Small weights that come with the program; a folder for each, with its card. */

/** Begins their names. */
const PREFIX = 'builtin:';
const FOLDER = fileURLToPath(new URL('../../../weights', import.meta.url));
/** The head of a probe that belongs to them. */
const HEAD = 'head.safetensors';

/** The weights that are taken where none are named. */
export const USUAL_WEIGHTS = `${PREFIX}drawings`;

/** Whether a word names weights of the program. */
export function isBuiltin(word: string): boolean {
  return word.startsWith(PREFIX);
}

/** Their file. @throws UserError with the names that there are, where the word is none of them */
export function builtinWeights(word: string): string {
  return join(builtinFolder(word), WEIGHTS);
}

/** The file of their head. @throws UserError as `builtinWeights` does */
export function builtinHead(word: string): string {
  return join(builtinFolder(word), HEAD);
}

function builtinFolder(word: string): string {
  const names = readdirSync(FOLDER)
    .filter((name) => existsSync(join(FOLDER, name, WEIGHTS)))
    .map((name) => `${PREFIX}${name}`)
    .sort();
  if (names.includes(word)) return join(FOLDER, word.slice(PREFIX.length));
  throw unknownName('weights of the program', word, names);
}
