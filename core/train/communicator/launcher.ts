/** Kinds of MPI libraries: a launcher works with those of its own kind alone. MPICH's is also Intel's and Cray's. */
export type MpiFamily = 'Open MPI' | 'MPICH';

/** What a launcher told one of the processes that it started. */
export interface Launched {
  rank: number;
  /** Processes of the run, two or more. */
  size: number;
  /** Among the processes of this machine; null where that is not told. */
  localRank: number | null;
  localSize: number | null;
  launcher: MpiFamily | 'Slurm';
  /** The kind of library that the launcher works with; null: any. */
  family: MpiFamily | null;
}

/** The variables of one launcher. */
type Variables = Readonly<Record<'rank' | 'size' | 'localRank' | 'localSize', string>>;

const OPEN_MPI: Variables = {
  rank: 'OMPI_COMM_WORLD_RANK',
  size: 'OMPI_COMM_WORLD_SIZE',
  localRank: 'OMPI_COMM_WORLD_LOCAL_RANK',
  localSize: 'OMPI_COMM_WORLD_LOCAL_SIZE',
};
const MPICH: Variables = {
  rank: 'PMI_RANK',
  size: 'PMI_SIZE',
  localRank: 'MPI_LOCALRANKID',
  localSize: 'MPI_LOCALNRANKS',
};
/** Those of a step: a batch script has SLURM_NTASKS and SLURM_PROCID as well, although it runs once. */
const SLURM: Variables = {
  rank: 'SLURM_PROCID',
  size: 'SLURM_STEP_NUM_TASKS',
  localRank: 'SLURM_LOCALID',
  localSize: '',
};

/** What the launcher of an MPI run told this process; null where it is alone, or what is told makes no sense. */
export function launchedRank(env: NodeJS.ProcessEnv = process.env): Launched | null {
  if (env[OPEN_MPI.size] !== undefined) return read(env, OPEN_MPI, 'Open MPI');
  // Slurm's own launcher sets PMI_RANK too, for either kind of library, but nothing about the machine.
  const isSlurm = env[SLURM.size] !== undefined && env[MPICH.localRank] === undefined;
  if (env[MPICH.size] !== undefined && !isSlurm) return read(env, MPICH, 'MPICH');
  return read(env, SLURM, 'Slurm');
}

function read(env: NodeJS.ProcessEnv, names: Variables, launcher: Launched['launcher']): Launched | null {
  const [rank, size] = [count(env[names.rank]), count(env[names.size])];
  if (rank === null || size === null || size < 2 || rank >= size) return null;
  const [localRank, localSize] = [count(env[names.localRank]), count(env[names.localSize])];
  return { rank, size, localRank, localSize, launcher, family: launcher === 'Slurm' ? null : launcher };
}

function count(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : null;
}
