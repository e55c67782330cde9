import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
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
const ARGUMENTS: Readonly<Record<MpiFamily, readonly string[]>> = {
  'Open MPI': ['--oversubscribe', ...(process.getuid?.() === 0 ? ['--allow-run-as-root'] : [])],
  MPICH: [],
};

/** The names of all that are looked for. */
export const LAUNCHER_NAMES = PLACES.map(([name]) => name);

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
