import { existsSync, readlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { basename, delimiter, dirname, join, relative, sep } from 'node:path';
import { attempt } from './errors.js';
import { nameFromBytes } from './file-names.js';
import { readSystemFile } from './files.js';

/** The program's name, as messages and file formats have it. */
export const PROGRAM = 'ijepa';

/** The signals after which a run is saved. SIGHUP comes when a terminal closes. */
export const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
export type StopSignalName = (typeof STOP_SIGNALS)[number];

/** Processes above this one at which is looked, at most. */
const GENERATIONS = 8;
/** Bits of the flags of an open file that say whether it can be read or written. */
const ACCESS = 3;
const WRITE_ONLY = 1;

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
  return name === 'start.cjs' || name === `${PROGRAM}.js` ? `node ${commandPath(script)}` : `npx ${PROGRAM}`;
}

/** The same for programs that start this one, between which and this one npx must not come. */
export function directCommand(script = process.argv[1] ?? PROGRAM): string {
  const command = commandName(script);
  return command.startsWith('npx ') ? commandPath(script) : command;
}

/** A path as a shell takes it, from the current folder where that is shorter. */
export function commandPath(path: string): string {
  return quoted(shortest(path));
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

/**
 * Whether a signal was ignored when the program started, as `nohup` has it, and scripts that ignore it themselves.
 *
 * Node gives every signal its usual effect before a program can look. What is left are the marks of nohup, and, on Linux,
 * what the process ignores that started this one: a shell hands that on. One that takes commands from a terminal does not;
 * it is known by ignoring SIGTSTP.
 */
export function isIgnored(signal: StopSignalName): boolean {
  if (signal === 'SIGHUP' && wasStartedByNohup()) return true;
  const mask = ignoredByParent();
  const isIn = (name: NodeJS.Signals) => ((mask >> BigInt(constants.signals[name] - 1)) & 1n) === 1n;
  return isIn(signal) && !isIn('SIGTSTP');
}

/** Sees to it that the signals that were ignored have no effect as long as the program runs. */
export function keepIgnored(): void {
  for (const signal of STOP_SIGNALS) if (isIgnored(signal)) process.on(signal, () => {});
}

/**
 * Shells name what they start in `_`. Where input or output would be a terminal, nohup puts a null device that can only be
 * written, and the file nohup.out.
 */
function wasStartedByNohup(): boolean {
  if (basename(process.env._ ?? '') === 'nohup') return true;
  const flags = Number.parseInt(/^flags:\s*([0-7]+)/m.exec(readSystemFile('/proc/self/fdinfo/0'))?.[1] ?? '0', 8);
  const isClosedInput = linkOf('/proc/self/fd/0') === '/dev/null' && (flags & ACCESS) === WRITE_ONLY;
  return isClosedInput || basename(linkOf('/proc/self/fd/1')) === 'nohup.out';
}

/** The signals, as bits, that are ignored by the process that started this one; other processes of Node, such as npx, stand between. */
function ignoredByParent(): bigint {
  let pid = process.ppid;
  for (let above = 0; above < GENERATIONS && pid > 1; above++) {
    const status = readSystemFile(`/proc/${pid}/status`);
    if (basename(linkOf(`/proc/${pid}/exe`)) !== basename(process.execPath)) {
      return BigInt(`0x${/^SigIgn:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
    }
    pid = Number(/^PPid:\s*(\d+)/m.exec(status)?.[1] ?? 0);
  }
  return 0n;
}

function linkOf(path: string): string {
  return attempt(() => readlinkSync(path), '');
}

/**
 * What a stream that people read can do, by what the system and the usual variables say: `TERM=dumb` cannot move its cursor,
 * `NO_COLOR` takes colours away (no-color.org), `FORCE_COLOR` puts them everywhere; a width of 0 is one that is not known.
 * @returns `bars`: whether lines can be drawn again and again; `columns`: characters of a line, where that is known
 */
export function terminalOf(
  { isTTY, columns }: Pick<NodeJS.WriteStream, 'isTTY' | 'columns'>,
  { TERM, NO_COLOR, FORCE_COLOR }: NodeJS.ProcessEnv = process.env,
) {
  const bars = isTTY === true && TERM !== 'dumb';
  const isOff = (NO_COLOR ?? '') !== '' || ['0', 'false'].includes(FORCE_COLOR ?? '');
  const isForced = FORCE_COLOR !== undefined && !isOff;
  return { bars, colour: !isOff && (bars || isForced), columns: columns > 0 ? columns : undefined };
}
