import { setTimeout } from 'node:timers/promises';
import { CommanderError } from 'commander';
import { explainSystemError, reasonOf, UserError } from '../core/base/errors.js';
import { PROGRAM } from '../core/base/program.js';
import { launchedRank } from '../core/train/communicator/launcher.js';

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

/** What commander says of wrong words, in the form of all messages. */
export function usageError(text: string): UserError {
  const [, problem = text, meant] = /^error: (.*?)\.?\n(?:\(Did you mean (.*)\?\)\n)?$/s.exec(text) ?? [];
  const names = meant?.replace(/^one of /, '').split(', ');
  return new UserError(problem, {
    remedy: names ? `did you mean ${names.map((name) => `'${name}'`).join(' or ')}?` : 'see --help',
  });
}

/** sharp's library is an optional package, of one platform: npm may have been told to leave it out, or to bring another. */
function explainSharp(error: unknown): unknown {
  if (!(error instanceof Error) || !error.message.startsWith('Could not load the "sharp" module')) return error;
  return new UserError(`the library that reads pictures is not installed: ${reasonOf(error)}`, {
    expected: 'the optional packages of sharp for this machine',
    remedy: 'install again with optional packages: npm install --include=optional',
  });
}

/** Milliseconds after which rank 0 would have said what is wrong, and its launcher ended the others. */
const GRACE = 3000;

/** Says what went wrong before the ranks of a run knew of one another: on all of them, most often, and then rank 0 says it. */
export async function reportBeforeRanks(error: unknown): Promise<number> {
  const { rank = 0 } = launchedRank() ?? {};
  if (rank > 0) {
    await setTimeout(GRACE);
    process.stderr.write(`rank ${rank}: `);
    if (error instanceof CommanderError) process.stderr.write(`${usageError(error.message).report}\n`);
  }
  return reportError(error);
}
