import { CommanderError } from 'commander';
import { explainSystemError, reasonOf, UserError } from '../core/base/errors.js';
import { PROGRAM } from '../core/base/program.js';

/** How the program ends. A run that was stopped by a signal ends with 130 or 143. */
export const EXIT = { done: 0, bug: 1, userError: 2 } as const;

/** Says what went wrong on standard error, a stack only for bugs; gives the exit code. */
export function reportError(thrown: unknown): number {
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.done : EXIT.userError;
  const path = thrown instanceof Error && 'path' in thrown ? String(thrown.path) : 'a file or stream';
  const error = explainSystemError(explainSharp(thrown), path);
  if (error instanceof UserError) {
    process.stderr.write(`${PROGRAM}: ${error.report}\n`);
    return EXIT.userError;
  }
  const stack = error instanceof Error ? error.stack : String(error);
  process.stderr.write(`ijepa: this is a bug of the program, please report it with the lines below\n${stack}\n`);
  return EXIT.bug;
}

/** sharp's library is an optional package, of one platform: npm may have been told to leave it out, or to bring another. */
function explainSharp(error: unknown): unknown {
  if (!(error instanceof Error) || !error.message.startsWith('Could not load the "sharp" module')) return error;
  return new UserError(`the library that reads pictures is not installed: ${reasonOf(error)}`, {
    expected: 'the optional packages of sharp for this machine',
    remedy: 'install again with optional packages: npm install --include=optional',
  });
}
