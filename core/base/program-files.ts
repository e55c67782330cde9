import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { attempt, isSystemError, reasonOf, UserError } from './errors.js';

/** The folder of the program's own files, as they were compiled. */
const PROGRAM_FILES = fileURLToPath(new URL('../..', import.meta.url));
/** Causes of causes that are looked at. */
const MOST_CAUSES = 10;

/**
 * Whether the program's files are others than those that it was started from: built or installed anew while it ran, or gone.
 * Parts of it that are loaded later, each thread among them, then do not fit those that run.
 * @param started when it was, in milliseconds since 1970
 */
export function haveProgramFilesChanged(started = performance.timeOrigin): boolean {
  return attempt(() => statSync(fileURLToPath(import.meta.url)).ctimeMs > started, true);
}

/**
 * Turns the failure to load a part of the program, here or in a thread, into a message for the user; returns anything else
 * as it is. Without it, that would look like a bug.
 */
export function explainProgramFiles(error: unknown, started?: number): unknown {
  if (error instanceof UserError) return error;
  const hasChanged = haveProgramFilesChanged(started);
  const cause = causesOf(error).find((one) => isMissingPart(one) || (hasChanged && one instanceof SyntaxError));
  if (cause === undefined) return error;
  const found = hasChanged ? 'changed while it ran' : 'are not complete';
  return new UserError(
    `the program's files ${found}; a part of it cannot be loaded: ${reasonOf(cause)}`,
    {
      expected: `the files in ${PROGRAM_FILES} as they were when it was started, all of them`,
      remedy:
        'wait until it is built or installed, then start it again; a run goes on with --resume from what it has saved',
    },
    { cause: error },
  );
}

function causesOf(error: unknown): Error[] {
  const causes: Error[] = [];
  for (let one = error; one instanceof Error && causes.length < MOST_CAUSES; one = one.cause) causes.push(one);
  return causes;
}

/** Whether a module or file of the program, or a package that one of its modules wants, is not there. */
function isMissingPart(error: Error): boolean {
  if (isSystemError(error, 'ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND')) return error.message.includes(PROGRAM_FILES);
  return isSystemError(error, 'ENOENT') && 'path' in error && String(error.path).startsWith(PROGRAM_FILES);
}
