import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readSystemFile } from '../../core/base/files.js';
import { MPI_FOLDER, MPI_LAUNCHER } from '../../core/engine/install/place.js';
import type { MpiFamily } from '../../core/train/communicator/launcher.js';

/** What starts the processes of an MPI run. */
export interface Launcher {
  name: string;
  family: MpiFamily;
  command: string;
  /** Arguments before the program. */
  args: (ranks: number) => string[];
}

/** Where launchers may be, and what they call themselves. */
const PLACES: readonly [name: string, family: MpiFamily, commands: readonly string[], version: RegExp][] = [
  ['Open MPI', 'Open MPI', ['mpirun.openmpi', 'mpirun'], /Open MPI|OpenRTE/],
  ['MPICH', 'MPICH', ['mpirun.mpich', 'mpirun'], /HYDRA/],
  ['MPICH of engine install', 'MPICH', [join(MPI_FOLDER, MPI_LAUNCHER)], /HYDRA/],
];
/** Those that are looked for. */
export const LAUNCHER_NAMES = PLACES.map(([name]) => name);
const ARGUMENTS: Readonly<Record<MpiFamily, readonly string[]>> = {
  'Open MPI': ['--oversubscribe', ...(process.getuid?.() === 0 ? ['--allow-run-as-root'] : [])],
  MPICH: [],
};

let found: Launcher[] | null = null;

/** The launchers that are on this machine. */
export function launchers(): readonly Launcher[] {
  found ??= PLACES.flatMap(([name, family, commands, version]) => {
    const command = commands.find((each) => version.test(spawnSync(each, ['--version'], { encoding: 'utf8' }).stdout));
    const args = (ranks: number) => [...ARGUMENTS[family], '-n', String(ranks)];
    return command === undefined ? [] : [{ name, family, command, args }];
  });
  return found;
}

/**
 * The number of the process that is a rank of a run; undefined where there is none.
 * @param word an argument of its own, such as the path of its folder
 */
export function processOfRank(word: string, rank: number): number | undefined {
  const variables = [`OMPI_COMM_WORLD_RANK=${rank}`, `PMI_RANK=${rank}`];
  const linesOf = (pid: string, file: string) => readSystemFile(`/proc/${pid}/${file}`).split('\0');
  const found = readdirSync('/proc').find(
    (pid) =>
      /^\d+$/.test(pid) &&
      linesOf(pid, 'cmdline').includes(word) &&
      linesOf(pid, 'environ').some((line) => variables.includes(line)),
  );
  return found === undefined ? undefined : Number(found);
}
