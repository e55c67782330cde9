import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, delimiter, dirname, join, relative, sep } from 'node:path';
import { nameFromBytes } from './file-names.js';
import { readSystemFile } from './files.js';

/** The program's name, as messages and file formats have it. */
export const PROGRAM = 'ijepa';

const require = createRequire(import.meta.url);

/** The version of this program. */
export function programVersion(): string {
  return (require('../../../package.json') as { version: string }).version;
}

/** How this program was called, for commands that messages name: 'npx ijepa', 'ijepa', or a path that a shell takes. */
export function commandName(script = process.argv[1] ?? PROGRAM, path = process.env.PATH ?? ''): string {
  const name = basename(script);
  if (script.includes(join(sep, 'node_modules', '.bin', sep))) return `npx ${PROGRAM}`;
  if (name.startsWith(PROGRAM) && !script.endsWith('.js')) {
    return path.split(delimiter).includes(dirname(script)) ? PROGRAM : quoted(script);
  }
  return name === 'start.cjs' || name === `${PROGRAM}.js` ? `node ${quoted(shortest(script))}` : `npx ${PROGRAM}`;
}

function shortest(path: string): string {
  const near = relative(process.cwd(), path);
  return near.length < path.length && existsSync(near) ? near : path;
}

function quoted(path: string): string {
  return /^[\w./:\\@+-]+$/.test(path) ? path : `"${path}"`;
}

/**
 * The arguments of the program, those that are not UTF-8 as `nameFromBytes` has them: Node loses their bytes, which Linux
 * still tells.
 */
export function programArguments(argv: readonly string[]): readonly string[] {
  if (!argv.some((word) => word.includes('\ufffd'))) return argv;
  const words = readSystemFile('/proc/self/cmdline').split('\0').slice(0, -1);
  // Node and its own options come first.
  const given = words.slice(words.length - (argv.length - 2)).map((word) => nameFromBytes(Buffer.from(word, 'latin1')));
  return given.length === argv.length - 2 ? [...argv.slice(0, 2), ...given] : argv;
}
