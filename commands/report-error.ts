import { setTimeout } from 'node:timers/promises';
import { CommanderError } from 'commander';
import { explainSystemError, reasonOf, UserError } from '../core/base/errors.js';
import { PROGRAM } from '../core/base/program.js';
import { explainProgramFiles, haveProgramFilesChanged } from '../core/base/program-files.js';
import { type Launched, launchedRank } from '../core/train/communicator/launcher.js';

/** How the program ends. A run that was stopped by a signal ends with 130 or 143. */
export const EXIT = { done: 0, bug: 1, userError: 2 } as const;

/** Milliseconds after which rank 0 would have said what is wrong, and its launcher ended the others. */
const GRACE = 3000;

/**
 * Says on standard error what ended a command; gives the exit code. What went wrong on all processes of an MPI run, before
 * they knew of one another, is said once.
 */
export async function reportEnd(thrown: unknown): Promise<number> {
  if (thrown instanceof CommanderError && thrown.exitCode === 0) return EXIT.done;
  if (thrown instanceof CommanderError && thrown.code === 'commander.help') return EXIT.userError; // help was printed
  const launched = launchedRank();
  return launched ? reportOfRank(thrown, launched) : reportError(thrown);
}

async function reportOfRank(thrown: unknown, { rank, localRank }: Launched): Promise<number> {
  const { problem, advice, exitCode } = describeError(thrown);
  const { joinRanks } = await import('../core/train/communicator/join.js');
  try {
    await joinRanks({ mpi: null, patience: GRACE / 1000, failure: { problem, advice } });
  } catch (error) {
    const isJoined = error instanceof UserError && error.message.includes(problem);
    if (rank === 0) reportError(isJoined ? error : thrown);
    else if (!isJoined && localRank === 0) {
      await setTimeout(GRACE);
      reportError(thrown);
    }
  }
  return exitCode;
}

/** Says what went wrong on standard error; gives the exit code. */
export function reportError(thrown: unknown): number {
  const { report, exitCode } = describeError(thrown);
  process.stderr.write(`${PROGRAM}: ${report}\n`);
  return exitCode;
}

/** What is said of what went wrong, a stack only for bugs. */
export function describeError(thrown: unknown) {
  const path = thrown instanceof Error && 'path' in thrown ? String(thrown.path) : 'a file or stream';
  const known = explainSharp(thrown instanceof CommanderError ? usageError(thrown.message) : thrown);
  const error = explainSystemError(explainProgramFiles(known), path);
  if (error instanceof UserError) {
    return { report: error.report, problem: error.message, advice: error.advice, exitCode: EXIT.userError };
  }
  const stack = error instanceof Error ? error.stack : String(error);
  const reported = haveProgramFilesChanged()
    ? "the program's files changed while it ran; if it happens again once it is started anew, this"
    : 'this';
  const problem = `${reported} is a bug of the program, please report it with the lines below\n${stack}`;
  return { report: problem, problem, advice: {}, exitCode: EXIT.bug };
}

/** What commander says of wrong words, in the form of all messages. */
function usageError(text: string): UserError {
  const [, problem = text, meant] = /^error: (.*?)\.?(?:\n\(Did you mean (.*)\?\))?\n?$/s.exec(text) ?? [];
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
