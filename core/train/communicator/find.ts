import { execFileSync } from 'node:child_process';
import { existsSync, realpathSync, statSync } from 'node:fs';
import { basename, delimiter, dirname, join } from 'node:path';
import { attempt, UserError } from '../../base/errors.js';
import { commandName } from '../../base/program.js';
import { MPI_FOLDER } from '../../engine/install/place.js';
import type { Launched, MpiFamily } from './launcher.js';
import { programsAbove } from './programs-above.js';

/** Names of MPI's library, by the version of its interface. */
const NAMES: Readonly<Record<'linux' | 'darwin', Readonly<Record<MpiFamily, readonly string[]>>>> = {
  linux: { 'Open MPI': ['libmpi.so.40'], MPICH: ['libmpich.so.12', 'libmpi.so.12', 'libmpi_abi.so.1'] },
  darwin: { 'Open MPI': ['libmpi.40.dylib'], MPICH: ['libmpi.12.dylib', 'libmpi_abi.1.dylib'] },
};
/** Programs that start the processes of an MPI run. */
const LAUNCHERS = /^(?:hydra_pmi_proxy|orted|orterun|prted|prterun|mpirun|mpiexec)/;
/** Names of processors in Debian's folders, and in the list of libraries that Linux knows. */
const MACHINES: Partial<Record<NodeJS.Architecture, readonly [folder: string, listed: string]>> = {
  x64: ['x86_64-linux-gnu', 'x86-64'],
  arm64: ['aarch64-linux-gnu', 'AArch64'],
};

/** Where on this machine can be looked for MPI. */
export interface Surroundings {
  /** The programs that run above this process, the nearest first. */
  programs: readonly string[];
  env: NodeJS.ProcessEnv;
  /** What `ldconfig -p` says. */
  listed: () => string;
  /** The folder of what this program has installed. */
  installed: string;
}

/**
 * Finds the MPI library that belongs to the launcher: what was named, else that of the launcher itself, of the `mpirun` in
 * the path, those that the system knows, and what this program has installed.
 * @param named the path of a library, or of a folder with it
 * @throws UserError if there is none
 */
export function findMpi(
  { launcher, family }: Pick<Launched, 'launcher' | 'family'>,
  named?: string,
  { programs, env, listed, installed }: Surroundings = surroundings(),
): string {
  const names = libraryNames(family);
  if (named !== undefined) return findNamed(named, names);
  const starters = programs.filter((path) => LAUNCHERS.test(basename(path)));
  const inPath = (env.PATH ?? '')
    .split(delimiter)
    .map((folder) => attempt(() => realpathSync(join(folder, 'mpirun')), ''))
    .filter((path) => path !== '');
  const folders = [
    ...[...starters, ...inPath].flatMap((path) => libraryFolders(dirname(dirname(path)))),
    ...(env.LD_LIBRARY_PATH ?? '').split(delimiter).filter((folder) => folder !== ''),
  ];
  const found =
    libraryIn(folders, names) ?? listedLibrary(listed(), names) ?? libraryIn(libraryFolders(installed), names);
  if (found !== undefined) return found;
  throw new UserError(`this process was started by ${launcher}, but its MPI library is not found`, {
    expected: names.length > 0 ? names.join(' or ') : 'Linux or macOS',
    remedy: `name it with --mpi, or install one with its launcher: ${commandName()} engine install mpi`,
  });
}

/** The names that MPI's library may have on this platform. @param family null: any */
export function libraryNames(family: MpiFamily | null): readonly string[] {
  const names = process.platform === 'linux' || process.platform === 'darwin' ? NAMES[process.platform] : null;
  if (names === null) return [];
  return family === null ? Object.values(names).flat() : names[family];
}

/** The path of the first library of these names in a list that `ldconfig -p` wrote. */
export function listedLibrary(list: string, names: readonly string[]): string | undefined {
  const [, machine = ''] = MACHINES[process.arch] ?? [];
  const lines = [...list.matchAll(/^\s*(\S+) \((.*?)\) => (.*)$/gm)].filter(([, , kind]) => kind?.includes(machine));
  const paths = names.map((name) => lines.find(([, listed]) => listed === name)?.[3]);
  return paths.find((path) => path !== undefined && existsSync(path));
}

function findNamed(named: string, names: readonly string[]): string {
  const found = statSync(named, { throwIfNoEntry: false });
  if (found?.isFile()) return named;
  const library = found?.isDirectory() ? libraryIn([named, ...libraryFolders(named)], names) : undefined;
  if (library !== undefined) return library;
  throw new UserError(found ? `${named} has no MPI library of the launcher's kind` : `${named} does not exist`, {
    expected: `a library, or a folder with ${names.join(' or ')}`,
    remedy: 'name another one with --mpi, or leave it out',
  });
}

function libraryIn(folders: readonly string[], names: readonly string[]): string | undefined {
  return folders.flatMap((folder) => names.map((name) => join(folder, name))).find((path) => existsSync(path));
}

/** The folders in which libraries lie that were installed under `root`. */
function libraryFolders(root: string): string[] {
  const [debian = ''] = MACHINES[process.arch] ?? [];
  return ['lib', 'lib64', join('lib', debian)].map((name) => join(root, name));
}

function surroundings(): Surroundings {
  const ldconfig = () =>
    execFileSync('/sbin/ldconfig', ['-p'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return {
    programs: programsAbove().map(({ path }) => path),
    env: process.env,
    listed: () => (process.platform === 'linux' ? attempt(ldconfig, '') : ''),
    installed: MPI_FOLDER,
  };
}
