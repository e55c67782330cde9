import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { findMpi } from '../../core/train/communicator/find.js';
import type { Launched } from '../../core/train/communicator/launcher.js';
import { mpiTitle } from '../../core/train/communicator/mpi.js';
import { type StartOptions, startProgram, temporaryFolder } from '../helpers/command.js';
import { launcherTest } from '../helpers/launcher-test.js';
import { type Launcher, launchers } from '../helpers/launchers.js';
import { ROOT } from '../helpers/paths.js';

const MEMBER = join(ROOT, 'dist', 'test', 'helpers', 'mpi-member.js');

/** What a process of a run printed. */
interface Seen {
  rank: number;
  size: number;
  title: string;
  launched: Launched;
  keepsSignals: boolean;
  pieces: boolean;
  atOnce: boolean[];
  gathered: boolean;
  turns: number;
  error?: string;
}

/** Starts a run of `ranks` processes. @param program starts one of them */
async function startRun(
  { command, args }: Launcher,
  ranks: number,
  program: readonly string[],
  options?: StartOptions,
) {
  const { code, stdout, stderr } = await startProgram([command, ...args(ranks), ...program], options);
  const lines = stdout.split('\n').filter((line) => line.startsWith('{'));
  return { code, stderr, seen: lines.map((line) => JSON.parse(line) as Seen) };
}

for (const ranks of [2, 4]) {
  launcherTest(`${ranks} processes give one another bytes, and the event loop turns meanwhile`, async (t, launcher) => {
    const { code, stderr, seen } = await startRun(launcher, ranks, [process.execPath, MEMBER]);
    t.is(code, 0, stderr);
    t.deepEqual(seen.map(({ rank }) => rank).sort(), Array.from(Array(ranks).keys()));
    for (const { rank, size, title, launched, keepsSignals, pieces, atOnce, gathered, turns } of seen) {
      t.like(launched, { rank, size, localSize: size, launcher: launcher.family, family: launcher.family });
      t.true(title.startsWith(launcher.family), title);
      t.deepEqual([keepsSignals, pieces, ...atOnce, gathered], Array(6).fill(true), `rank ${rank}`);
      t.true(turns > 2, `${turns} turns on rank ${rank}`);
    }
  });
}

launcherTest('a library that is not there, or does not load, is told', async (t, launcher) => {
  const none = await startRun(launcher, 2, [process.execPath, MEMBER, '/nowhere']);
  t.is(none.code, 2, none.stderr);
  t.regex(none.seen[0]?.error ?? '', /^\/nowhere does not exist\n {2}expected: .*libmpi.*\n {2}what to do: .*--mpi/);
  const other = await startRun(launcher, 2, [process.execPath, MEMBER, join(ROOT, 'package.json')]);
  t.is(other.code, 2, other.stderr);
  t.regex(other.seen[0]?.error ?? '', /^the MPI library .*package\.json does not load: .*\n {2}what to do: .*--mpi/);
});

launcherTest('the library of another MPI is refused', async (t, launcher) => {
  const family = launcher.family === 'MPICH' ? 'Open MPI' : 'MPICH';
  if (!launchers().some((each) => each.family === family)) {
    t.pass(`${family} is not there`);
    return;
  }
  const library = findMpi({ launcher: family, family });
  const { code, stderr, seen } = await startRun(launcher, 2, [process.execPath, MEMBER, library]);
  t.is(code, 2, stderr);
  const { error = '' } = seen[0] ?? {};
  t.true(error.startsWith(`${launcher.family} started process `), error);
  t.true(error.includes(`of 2, but ${family} `), error);
  t.true(error.includes(`(${library}) is not its library\n`), error);
  t.regex(error, /what to do: .*mpirun.*--mpi/);
});

launcherTest('npx between the launcher and the program works, or is told', async (t, launcher) => {
  const folder = await temporaryFolder(t);
  await mkdir(join(folder, 'node_modules', '.bin'), { recursive: true });
  await writeFile(join(folder, 'package.json'), '{}');
  const script = join(folder, 'member');
  await writeFile(script, `#!/usr/bin/env node\nimport(${JSON.stringify(MEMBER)});\n`, { mode: 0o755 });
  await symlink(script, join(folder, 'node_modules', '.bin', 'member'));
  const { code, stderr, seen } = await startRun(launcher, 2, ['npx', '--offline', 'member'], { cwd: folder });
  if (launcher.family === 'Open MPI') {
    t.is(code, 0, stderr);
    return;
  }
  t.is(code, 2, stderr);
  t.regex(
    seen[0]?.error ?? '',
    /^the connection to MPICH's launcher is lost: [\s\S]*node_modules\/\.bin\/member in place/,
  );
});

test('a library that takes itself for a run of its own is refused', async (t) => {
  const [launcher] = launchers();
  if (!launcher) {
    t.pass('no MPI is there');
    return;
  }
  const names = { 'Open MPI': 'OMPI_COMM_WORLD', MPICH: 'PMI' }[launcher.family];
  const env = { [`${names}_RANK`]: '1', [`${names}_SIZE`]: '2' };
  const { code, stdout } = await startProgram([process.execPath, MEMBER], { env });
  t.is(code, 2, stdout);
  t.regex(stdout, /started process 1 of 2, but .* is not its library: to it, this is process 0 of 1\\n/);
});

test('libraries are called by name and version', (t) => {
  for (const [says, title] of [
    ['Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4, repo rev: v4.1.4, May 26, 2022', 'Open MPI 4.1.4'],
    ['MPICH Version:      5.0.2\nMPICH Release date: Fri Sep 25\nMPICH ABI: 17:2:5\n', 'MPICH 5.0.2'],
    ['Intel(R) MPI Library 2021.9 for Linux* OS\n', 'Intel(R) MPI Library 2021.9 for Linux* OS'],
  ] as const) {
    t.is(mpiTitle(says), title);
  }
});
