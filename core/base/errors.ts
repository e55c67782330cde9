import { dirname, resolve } from 'node:path';
import { closest, distance } from 'fastest-levenshtein';
import { shownName } from './file-names.js';

/** Characters of a line of a message and of a reason, so that no file can fill a screen with what it holds. */
const MAX_LINE = 5000;
const MAX_REASON = 1000;

/** What a message about a user's mistake says beside the problem: what would have been right, and what to do now. */
export type Advice = { expected?: string; remedy?: string };

/**
 * Something that the user can mend. It is printed as a message, without a stack, and ends the program with exit code 2.
 * Every other error is a bug of this program: it keeps its stack and ends with exit code 1.
 */
export class UserError extends Error {
  override readonly name = 'UserError';
  readonly advice: Advice;

  constructor(problem: string, advice: Advice = {}, options?: ErrorOptions) {
    super(problem, options);
    this.advice = advice;
  }

  /** The whole message, one line for each of: problem, expectation, remedy. */
  get report(): string {
    const lines = this.message.split('\n');
    if (this.advice.expected) lines.push(`  expected: ${this.advice.expected}`);
    if (this.advice.remedy) lines.push(`  what to do: ${this.advice.remedy}`);
    return lines.map((line) => printable(line)).join('\n');
  }
}

/** A line that may quote a file, as it can be shown: control characters, which would steer a terminal, are made visible. */
export function printable(line: string, longest = MAX_LINE): string {
  const shown = line.length <= longest ? line : `${line.slice(0, longest)} ...`;
  return shown.replaceAll(/\p{Cc}/gu, '?').replaceAll(/[\ud800-\udfff]/gu, (half) => shownName(half));
}

/** More names than this are not listed all. */
const MOST_NAMES = 12;

/** The error of a name that does not exist: what was given, the nearest name that does, and all the names where they are few. */
export function unknownName(kind: string, received: string, names: readonly string[], where = ''): UserError {
  const nearest = nearestName(received, names);
  const byDistance = () => [...names].sort((a, b) => distance(received, a) - distance(received, b));
  const shown =
    names.length <= MOST_NAMES ? names : [...byDistance().slice(0, MOST_NAMES), `${names.length - MOST_NAMES} others`];
  return new UserError(`unknown ${kind} '${received}'${where && ` in ${where}`}`, {
    expected: `one of ${shown.join(', ')}`,
    ...(nearest && { remedy: `did you mean '${nearest}'?` }),
  });
}

/** The name that `received` was probably meant to be, or undefined where none is near. */
export function nearestName(received: string, names: readonly string[]): string | undefined {
  if (names.length === 0) return undefined;
  const nearest = closest(received, names);
  const isNear = distance(received.toLowerCase(), nearest.toLowerCase()) <= Math.max(2, nearest.length * 0.4);
  return isNear ? nearest : undefined;
}

/** What some work gives, or something else where it throws. */
export function attempt<T, Otherwise>(work: () => T, otherwise: Otherwise): T | Otherwise {
  try {
    return work();
  } catch {
    return otherwise;
  }
}

/** What the system says of a path by its codes, and what to do. */
const SYSTEM_PROBLEMS: Readonly<Record<string, readonly [says: string, remedy: string]>> = {
  ENOENT: ['does not exist', 'check the path'],
  EACCES: ['is not accessible: permission denied', 'change its permissions or choose another path'],
  EPERM: ['is not accessible: operation not permitted', 'change its permissions or choose another path'],
  EROFS: ['is on a read-only file system', 'choose another path'],
  ENOSPC: ['cannot be written: the disk is full', 'free some space or choose another disk'],
  EDQUOT: ['cannot be written: the disk quota is used up', 'free some space or choose another disk'],
  EFBIG: [
    'cannot be written: it would be larger than the system allows',
    'raise the limit with ulimit -f, or choose another disk',
  ],
  ENOTDIR: ['is not a folder, or lies below something that is not', 'choose another path'],
  EISDIR: ['is a folder, not a file', 'name a file'],
  EMFILE: ['cannot be opened: too many files are open', 'raise the limit with ulimit -n'],
  EEXIST: ['is in the way of a folder', 'choose another path, or remove it'],
  ENAMETOOLONG: ['is too long a name', 'choose a shorter path'],
  ELOOP: ['is a symbolic link that leads to itself', 'mend the link or choose another path'],
  EIO: ['cannot be read or written: the disk reports an error', 'check the disk'],
};

/** An error's message as one line, for use as a reason within another one. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const lines = text.split('\n').map((line) => line.trim());
  return printable(lines.filter((line) => line !== '').join(' ') || 'no reason was given', MAX_REASON);
}

/** Whether the system gave one of these codes as its reason. */
export function isSystemError(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}

/** Whether an error says that a file is not there; a UserError does by its cause. */
export function isMissing(error: unknown): boolean {
  return isSystemError(error instanceof UserError ? error.cause : error, 'ENOENT');
}

/** Turns a failure to write a file or make a folder into a message for the user; returns anything else as it is. */
export function explainWriteError(error: unknown, path: string): unknown {
  if (!isSystemError(error, 'ENOENT')) return explainSystemError(error, path);
  return new UserError(
    `${path} cannot be written: the folder ${dirname(resolve(path))} does not exist or takes no files`,
    { remedy: 'choose another path, or make the folder' },
    { cause: error },
  );
}

/** What the system says of a file that it does not give, after its name; undefined for other errors. */
export function systemProblem(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return undefined;
  return SYSTEM_PROBLEMS[String(error.code)]?.[0] ?? `cannot be read: the system reports ${error.code}`;
}

/** Turns a failure of the file system into a message for the user; returns anything else as it is. */
export function explainSystemError(error: unknown, what: string): unknown {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return error;
  if (error.syscall === 'uv_cwd') {
    return new UserError('the current folder no longer exists', { remedy: 'change to a folder that does' });
  }
  const [says, remedy] = SYSTEM_PROBLEMS[String(error.code)] ?? [
    `cannot be read or written: the system reports ${error.code}`,
    'check the path and the disk',
  ];
  return new UserError(`${what} ${says}`, { remedy }, { cause: error });
}
