import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { UserError } from '../../core/base/errors.js';
import { findMpi, libraryNames, listedLibrary, type Surroundings } from '../../core/train/communicator/find.js';
import { launchedRank } from '../../core/train/communicator/launcher.js';
import { temporaryFolder } from '../helpers/command.js';

const [OPEN_MPI = ''] = libraryNames('Open MPI');
const [MPICH = ''] = libraryNames('MPICH');
const onUnix = OPEN_MPI === '' ? test.skip : test;

test('what launchers tell of a process is read', (t) => {
  t.deepEqual(
    launchedRank({
      OMPI_COMM_WORLD_RANK: '5',
      OMPI_COMM_WORLD_SIZE: '8',
      OMPI_COMM_WORLD_LOCAL_RANK: '1',
      OMPI_COMM_WORLD_LOCAL_SIZE: '4',
    }),
    { rank: 5, size: 8, localRank: 1, localSize: 4, launcher: 'Open MPI', family: 'Open MPI' },
  );
  const hydra = { PMI_RANK: '0', PMI_SIZE: '2', MPI_LOCALRANKID: '0', MPI_LOCALNRANKS: '2' };
  const byHydra = { rank: 0, size: 2, localRank: 0, localSize: 2, launcher: 'MPICH', family: 'MPICH' } as const;
  t.deepEqual(launchedRank(hydra), byHydra);
  t.deepEqual(launchedRank({ PMI_RANK: '1', PMI_SIZE: '2' }), {
    ...byHydra,
    rank: 1,
    localRank: null,
    localSize: null,
  });
  const step = { SLURM_PROCID: '3', SLURM_STEP_NUM_TASKS: '4', SLURM_NTASKS: '4', SLURM_LOCALID: '1' };
  const bySlurm = { rank: 3, size: 4, localRank: 1, localSize: null, launcher: 'Slurm', family: null } as const;
  t.deepEqual(launchedRank(step), bySlurm);
  t.deepEqual(launchedRank({ ...step, PMI_RANK: '3', PMI_SIZE: '4' }), bySlurm);
  // Hydra starts one process of Slurm on each machine, which starts those of the run.
  t.deepEqual(launchedRank({ ...step, ...hydra }), byHydra);
});

test('a process that is alone, or is told what makes no sense, was not launched', (t) => {
  for (const env of [
    {},
    { OMPI_COMM_WORLD_RANK: '0', OMPI_COMM_WORLD_SIZE: '1' },
    { OMPI_COMM_WORLD_RANK: '0' },
    { OMPI_COMM_WORLD_SIZE: '2' },
    { OMPI_COMM_WORLD_RANK: '2', OMPI_COMM_WORLD_SIZE: '2' },
    { PMI_RANK: '-1', PMI_SIZE: '2' },
    { PMI_RANK: '0', PMI_SIZE: 'two' },
    { PMI_RANK: '', PMI_SIZE: '2' },
    { PMI_RANK: '0', PMI_SIZE: '99999999999' },
    // A batch script, and a shell on a machine of a job.
    { SLURM_PROCID: '0', SLURM_NTASKS: '8', SLURM_LOCALID: '0' },
    { SLURM_PROCID: '0', SLURM_NTASKS: '8', SLURM_STEP_NUM_TASKS: '1' },
  ]) {
    t.is(launchedRank(env), null, JSON.stringify(env));
  }
});

/** A folder with empty files of these paths. */
async function withFiles(t: ExecutionContext, ...paths: string[]): Promise<string> {
  const folder = await temporaryFolder(t);
  for (const path of paths) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), '');
  }
  return folder;
}

const NOWHERE: Surroundings = { programs: [], env: {}, listed: () => '', installed: '/nowhere' };
const OF_MPICH = { launcher: 'MPICH', family: 'MPICH' } as const;

onUnix('the library of the launcher goes before that of the path, of the system, and what was installed', async (t) => {
  const both = (root: string) => ['bin/mpirun', `lib/${OPEN_MPI}`, `lib/${MPICH}`].map((name) => `${root}/${name}`);
  const folder = await withFiles(t, ...both('launcher'), ...both('path'), ...both('installed'), `system/${MPICH}`);
  await mkdir(join(folder, 'links'));
  await symlink(join(folder, 'path', 'bin', 'mpirun'), join(folder, 'links', 'mpirun'));
  const kind = process.arch === 'arm64' ? 'AArch64' : 'x86-64';
  const all: Surroundings = {
    programs: [process.execPath, '/bin/sh', join(folder, 'launcher', 'bin', 'hydra_pmi_proxy')],
    env: { PATH: `/nowhere:${join(folder, 'links')}` },
    listed: () => `2 libs found\n\t${MPICH} (libc6,${kind}) => ${join(folder, 'system', MPICH)}\n`,
    installed: join(folder, 'installed'),
  };
  const place = (how: Partial<Surroundings>) => findMpi(OF_MPICH, undefined, { ...all, ...how });
  t.is(place({}), join(folder, 'launcher', 'lib', MPICH));
  t.is(place({ programs: [process.execPath] }), join(folder, 'path', 'lib', MPICH));
  t.is(place({ programs: [], env: {} }), join(folder, 'system', MPICH));
  t.is(
    place({ programs: [], env: { LD_LIBRARY_PATH: join(folder, 'path', 'lib') } }),
    join(folder, 'path', 'lib', MPICH),
  );
  t.is(place({ programs: [], env: {}, listed: () => '' }), join(folder, 'installed', 'lib', MPICH));
  t.is(
    findMpi({ launcher: 'Open MPI', family: 'Open MPI' }, undefined, all),
    join(folder, 'launcher', 'lib', OPEN_MPI),
  );
});

onUnix('only libraries of the kind of the launcher are taken; Slurm takes any', async (t) => {
  const folder = await withFiles(t, `lib64/${OPEN_MPI}`);
  const around = { ...NOWHERE, installed: folder };
  t.is(findMpi({ launcher: 'Slurm', family: null }, undefined, around), join(folder, 'lib64', OPEN_MPI));
  const error = t.throws(() => findMpi(OF_MPICH, undefined, around), { instanceOf: UserError });
  t.regex(error.report, /started by MPICH, but its MPI library is not found\n {2}expected: .*\n.*engine install mpi$/);
});

onUnix('a library is named by its path or by a folder', async (t) => {
  const folder = await withFiles(t, `lib/${MPICH}`, 'lib/other');
  t.is(findMpi(OF_MPICH, join(folder, 'lib', 'other'), NOWHERE), join(folder, 'lib', 'other'));
  for (const named of [folder, join(folder, 'lib')])
    t.is(findMpi(OF_MPICH, named, NOWHERE), join(folder, 'lib', MPICH));
  const openMpi = { launcher: 'Open MPI', family: 'Open MPI' } as const;
  for (const [named, message] of [
    [folder, /has no MPI library of the launcher's kind/],
    [join(folder, 'nowhere'), /nowhere does not exist/],
  ] as const) {
    const error = t.throws(() => findMpi(openMpi, named, NOWHERE), { instanceOf: UserError, message });
    t.regex(error.report, /--mpi/);
  }
});

test('of the libraries that Linux lists, those of other processors and those that are gone are passed over', async (t) => {
  const folder = await withFiles(t, 'a.so', 'b.so');
  const kind = process.arch === 'arm64' ? 'AArch64' : 'x86-64';
  const list = `\ta.so (libc6) => ${join(folder, 'b.so')}
\ta.so (libc6,${kind}) => ${join(folder, 'a.so')}
\tgone.so (libc6,${kind}) => ${join(folder, 'gone.so')}
\tb.so (libc6,${kind}, OS ABI: Linux 3.2.0) => ${join(folder, 'b.so')}\n`;
  t.is(listedLibrary(list, ['other.so', 'a.so']), join(folder, 'a.so'));
  t.is(listedLibrary(list, ['gone.so', 'b.so', 'a.so']), join(folder, 'b.so'));
  t.is(listedLibrary(list, ['gone.so']), undefined);
});
