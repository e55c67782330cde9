import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { UserError } from '../../core/base/errors.js';
import { buildFolder } from '../../core/base/staging.js';
import { installOpenvino, removeOpenvino, wheelOf } from '../../core/engine/install/openvino.js';
import { hasOpenvino, OPENVINO_LIBRARIES, openvinoLibraries, THIS_PLATFORM } from '../../core/engine/install/place.js';
import { installTensorflow } from '../../core/engine/install/tensorflow.js';
import { TENSORFLOW_WHEEL } from '../../core/engine/install/tensorflow-library.js';
import { downloadWheel } from '../../core/engine/install/wheel.js';
import { makeZip } from '../helpers/archives.js';
import { ijepaHere, startProgram, temporaryFolder } from '../helpers/command.js';
import { serve } from '../helpers/faulty-server.js';
import { ROOT } from '../helpers/paths.js';

const PACKAGE = join(ROOT, 'node_modules', '@tensorflow', 'tfjs-node-gpu');
const SILENT = { line() {}, transfer: () => ({ update() {}, stop() {} }) };
const { loaded, opened, optional } = OPENVINO_LIBRARIES;
const [, CORE = '', INTERFACE = ''] = loaded;
const LIBRARIES = [...loaded, ...opened, ...optional].sort();
const OTHERS = ['libopenvino_intel_gpu_plugin.so', 'libopenvino_tensorflow_frontend.so.2641', 'cache.json'];
const TAG = wheelOf(THIS_PLATFORM)
  .title.replace(/\.whl$/, '')
  .split('-')
  .at(-1);

const sha256 = (content: Buffer | string, encoding: 'hex' | 'base64url' = 'hex') =>
  createHash('sha256').update(content).digest(encoding);
const library = (name: string) => (name === CORE ? 'a library, 2026.4.1-22982-e213a147257, of it' : `library ${name}`);

/** A wheel like OpenVINO's, with small libraries. @param changed what is other in it; null: it is left out */
function makeWheel(changed: Record<string, string | null> = {}): Buffer {
  const files = [...LIBRARIES, ...OTHERS].map((name) => [`openvino/libs/${name}`, library(name)] as const);
  const about = 'openvino-2026.4.1.dist-info';
  const all: Record<string, string | null> = {
    ...Object.fromEntries(files),
    [`${about}/METADATA`]: 'Metadata-Version: 2.4\nName: openvino\nVersion: 2026.4.1\n\nText\nName: other\n',
    [`${about}/WHEEL`]: `Wheel-Version: 1.0\nTag: cp311-cp311-${TAG}\n`,
    [`${about}/RECORD`]: files.map(([name, text]) => `${name},sha256=${sha256(text, 'base64url')},9\n`).join(''),
    [`${about}/licenses/LICENSE`]: 'Apache License',
    ...changed,
  };
  return makeZip(Object.entries(all).flatMap(([name, content]) => (content === null ? [] : [{ name, content }])));
}

/** A folder for installations, with a file in it. */
async function withFile(t: ExecutionContext, name: string, content: Buffer | string) {
  const parent = await temporaryFolder(t);
  const from = join(parent, name);
  await mkdir(dirname(from), { recursive: true });
  await writeFile(from, content);
  return { from, folder: join(parent, 'vendor', 'openvino') };
}

test('of the wheel of OpenVINO what is needed is installed, once and again, and removed', async (t) => {
  const { from, folder } = await withFile(t, 'renamed.whl', makeWheel());
  for (const isThere of [false, true]) {
    t.is(hasOpenvino(folder), isThere);
    await installOpenvino({ from, folder }, SILENT);
    t.true(hasOpenvino(folder));
    t.deepEqual((await readdir(folder)).sort(), [...LIBRARIES, 'licenses', 'version.txt'].sort());
    t.is(await readFile(join(folder, CORE), 'utf8'), library(CORE));
    t.is(await readFile(join(folder, 'licenses', 'LICENSE'), 'utf8'), 'Apache License');
    t.deepEqual(await readdir(dirname(folder)), ['openvino']);
  }
  t.deepEqual(
    openvinoLibraries(folder).map((path) => basename(path)),
    [...loaded],
  );
  t.true(await removeOpenvino(folder));
  t.false(hasOpenvino(folder));
  t.false(await removeOpenvino(folder));
  t.deepEqual(await readdir(dirname(folder)), []);
  t.false(await removeOpenvino(join(folder, 'nowhere', 'openvino')));
});

test('libraries that lie in a folder are copied, wherever in it they are', async (t) => {
  const { from, folder } = await withFile(t, 'sdk/runtime/3rdparty/tbb/lib/other', '');
  const root = join(dirname(from), '..', '..', '..', '..');
  const lib = join(root, 'runtime', 'lib');
  await mkdir(lib);
  for (const name of LIBRARIES) {
    await writeFile(join(loaded[0] === name ? dirname(from) : lib, name), library(name));
  }
  await installOpenvino({ from: root, folder }, SILENT);
  t.true(hasOpenvino(folder));
  t.deepEqual((await readdir(folder)).sort(), [...LIBRARIES, 'version.txt'].sort());
  t.is((await readdir(lib)).length, LIBRARIES.length - 1);
});

const ABOUT = 'openvino-2026.4.1.dist-info';
const numpy = { [`${ABOUT}/METADATA`]: 'Name: numpy\nVersion: 2.1.0\n' };
const WRONG: readonly [what: string, name: string, content: Buffer | string, message: RegExp][] = [
  ['a wheel of another project', 'a.whl', makeWheel(numpy), /is the wheel of numpy 2\.1\.0 for cp311/],
  [
    'a wheel of another version',
    'a.whl',
    makeWheel({ [`${ABOUT}/METADATA`]: 'Name: openvino\nVersion: 2025.1.0\n' }),
    /is the wheel of openvino 2025\.1\.0 for/,
  ],
  [
    'a wheel for another platform',
    'a.whl',
    makeWheel({ [`${ABOUT}/WHEEL`]: 'Tag: cp311-cp311-plan9_1_mips\n' }),
    /is the wheel of openvino 2026\.4\.1 for cp311-cp311-plan9_1_mips/,
  ],
  ['a zip that is no wheel', 'a.whl', makeZip([{ name: 'x', content: 'y' }]), /does not say which wheel it is/],
  ['a wheel without a library', 'a.whl', makeWheel({ [`openvino/libs/${INTERFACE}`]: null }), /does not have .*_c\./],
  ['a damaged wheel', 'a.whl', makeWheel({ [`openvino/libs/${CORE}`]: 'flipped' }), /is damaged: .* its SHA-256 is/],
  ['a wheel that was cut off', 'a.whl', makeWheel().subarray(0, 3000), /a\.whl is not a whole wheel/],
  ['a file that is no archive', 'a.whl', 'text', /a\.whl is not a whole wheel/],
  ['an archive of another kind', 'a.tgz', 'text', /is neither a wheel \(\.whl\) nor a folder/],
  ['a folder without libraries', 'sdk/readme', 'text', /does not have .*openvino_c/],
  ['a folder of another version', 'sdk/libopenvino_c.so.2510', 'x', /but libopenvino_c\.so\.2510, .* another version/],
];
for (const [what, name, content, message] of WRONG) {
  test(`${what} gets one message, and what was installed stays`, async (t) => {
    const { from, folder } = await withFile(t, name, content);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'before'), '');
    const source = name.startsWith('sdk/') ? dirname(from) : from;
    const error = await t.throwsAsync(installOpenvino({ from: source, folder }, SILENT), { instanceOf: UserError });
    t.regex(error?.message ?? '', message);
    t.regex(error?.report ?? '', /what to do: /);
    t.deepEqual(await readdir(dirname(folder)), ['openvino']);
    t.deepEqual(await readdir(folder), ['before']);
  });
}

test('libraries of another version are refused where their names do not tell it', async (t) => {
  const { from, folder } = await withFile(t, 'libs/x', '');
  for (const name of LIBRARIES) await writeFile(join(dirname(from), name), 'x 2025.4.0-20398-abcdef01234 x');
  const error = await t.throwsAsync(installOpenvino({ from: dirname(from), folder }, SILENT));
  t.regex(error?.message ?? '', /has OpenVINO of version 2025\.4\.0$/);
});

/** An index with files of these names, all of the same content. @param hash what it says of them */
async function serveIndex(t: ExecutionContext, names: readonly string[], content: Buffer, hash = sha256(content)) {
  const files = names.map((filename) => ({ filename, url: `../files/${filename}`, hashes: { sha256: hash } }));
  const asked: string[] = [];
  const address = await serve(t, (request, response) => {
    const path = request.url ?? '';
    asked.push(basename(path));
    if (path === '/simple/project/' || path === '/simple/openvino/') response.end(JSON.stringify({ files }));
    else if (path.startsWith('/simple/files/')) response.end(content);
    else response.writeHead(404).end();
  });
  return { index: `${address}/simple`, asked };
}

test('of the wheels of an index, the one of the version and platform is downloaded', async (t) => {
  const wanted = 'tensorflow_cpu-2.15.1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl';
  const names = [
    wanted,
    'tensorflow_cpu-2.15.1-cp310-cp310-manylinux_2_17_x86_64.whl',
    'tensorflow_cpu-2.15.1-cp311-cp311-win_amd64.whl',
    'tensorflow_cpu-2.9.1-cp39-manylinux_x86_64.whl',
    '../tensorflow_cpu-2.15.1-cp39-manylinux_x86_64.whl',
  ];
  const content = Buffer.from('a wheel');
  const { index, asked } = await serveIndex(t, names, content);
  const folder = await temporaryFolder(t);
  const path = await downloadWheel({ ...TENSORFLOW_WHEEL, project: 'project' }, index, folder, SILENT);
  t.is(path, join(folder, wanted));
  t.true(content.equals(await readFile(path)));
  t.deepEqual(asked, ['project', wanted]);
  for (const platform of ['linux-x64', 'linux-arm64', 'darwin-arm64', 'win32-x64']) {
    t.true(wheelOf(platform).fits(wheelOf(platform).title));
    t.false(wheelOf(platform).fits(wheelOf(platform === 'linux-x64' ? 'win32-x64' : 'linux-x64').title));
  }
  t.throws(() => wheelOf('plan9-mips'), { instanceOf: UserError, message: /no wheel for plan9-mips/ });
});

test('an index that has no wheel, another one, or gives another than it says, is told, and nothing is left', async (t) => {
  const name = wheelOf(THIS_PLATFORM).title;
  const folder = join(await temporaryFolder(t), 'openvino');
  const wheel = makeWheel();
  const older = name.replace('2026.4.1', '2026.4.0');
  const other = await serveIndex(t, [name], wheel);
  const lying = await serveIndex(t, [name], wheel, wheelOf(THIS_PLATFORM).sha256);
  for (const [index, message] of [
    [(await serveIndex(t, [older], wheel)).index, /has no openvino-2026\.4\.1.*\.whl$/],
    [other.index, /has another openvino-.* than the one that is known: its SHA-256 is/],
    [lying.index, /arrived damaged: its SHA-256 is/],
    [`${lying.index}/nowhere`, /answers 404/],
  ] as const) {
    const error = await t.throwsAsync(installOpenvino({ from: 'pypi', index, folder }, SILENT), {
      instanceOf: UserError,
    });
    t.regex(error?.message ?? '', message);
    t.regex(error?.advice.remedy ?? '', /--index/);
    t.deepEqual(await readdir(dirname(folder)), []);
  }
  t.deepEqual(other.asked, ['openvino']); // it was not even downloaded
});

test('what a killed installation left is removed by the next one, not what another process is at', async (t) => {
  const parent = await temporaryFolder(t);
  const module = join(ROOT, 'dist', 'core', 'base', 'staging.js');
  const script = `
    const { inStaging } = await import(${JSON.stringify(module)});
    await inStaging(process.argv[1], () => process.kill(process.pid, 'SIGKILL'));`;
  const killed = await startProgram([process.execPath, '--input-type=module', '-e', script, parent]);
  t.is(killed.signal, 'SIGKILL', killed.stderr);
  const [left = ''] = await readdir(parent);
  t.regex(left, /^unfinished-/);
  // A process that died before it had said whose the folder is; one that has not said it yet.
  for (const name of ['unfinished-old', 'unfinished-new']) await mkdir(join(parent, name));
  await utimes(join(parent, 'unfinished-old'), 1, 1);
  const make = async (staging: string) => {
    await buildFolder(join(parent, 'other'), async (inner) => inner); // beside one that is being made
    t.true(existsSync(staging));
    return staging;
  };
  await buildFolder(join(parent, 'made'), make);
  t.deepEqual((await readdir(parent)).sort(), ['made', 'other', 'unfinished-new']);
});

test('of processes that install at once each does it, and what one has put there is whole', async (t) => {
  const { from, folder } = await withFile(t, 'a.whl', makeWheel());
  await Promise.all(Array.from({ length: 8 }, () => installOpenvino({ from, folder }, SILENT)));
  t.true(hasOpenvino(folder));
  t.deepEqual(await readdir(dirname(folder)), ['openvino']);
});

test.serial('an installation of TensorFlow that fails says why and leaves nothing', async (t) => {
  if (process.platform !== 'linux' || process.arch !== 'x64' || !existsSync(PACKAGE)) {
    t.log('left out: the command is for Linux on x86-64');
    t.pass();
    return;
  }
  const folder = await temporaryFolder(t);
  await mkdir(join(folder, 'empty'));
  await writeFile(join(folder, 'not.whl'), 'text');
  await writeFile(join(folder, 'not.tar.gz'), 'text');
  const name = 'tensorflow_cpu-2.15.1-cp311-cp311-manylinux2014_x86_64.whl';
  const index = await serve(t, (request, response) => {
    if (request.url === '/broken/tensorflow-cpu/') response.end('<html>no JSON</html>');
    else if (request.url === '/none/tensorflow-cpu/') response.end(JSON.stringify({ files: [] }));
    else if (request.url === '/damaged/tensorflow-cpu/') {
      response.end(JSON.stringify({ files: [{ filename: name, url: '../wheel', hashes: { sha256: 'other' } }] }));
    } else if (request.url === '/damaged/wheel') response.end('bytes');
    else {
      response.statusCode = 404;
      response.end();
    }
  });
  const wrong: [source: { from: string; index?: string }, message: RegExp][] = [
    [{ from: join(folder, 'nowhere') }, /nowhere does not exist/],
    [{ from: join(folder, 'empty') }, /libtensorflow is not in/],
    [{ from: join(folder, 'not.whl') }, /not\.whl is not a wheel/],
    [{ from: join(folder, 'not.tar.gz') }, /libtensorflow is not in|cannot be unpacked/],
    [{ from: 'pypi', index: `${index}/missing` }, /answers 404/],
    [{ from: 'pypi', index: `${index}/broken` }, /does not answer as a package index/],
    [{ from: 'pypi', index: `${index}/none` }, /has no wheel of tensorflow-cpu/],
    [{ from: 'pypi', index: `${index}/damaged` }, /arrived damaged/],
    [{ from: 'pypi', index: 'http://127.0.0.1:1' }, /cannot be reached/],
  ];
  for (const [source, message] of wrong) {
    await t.throwsAsync(installTensorflow(source, SILENT), { instanceOf: UserError, message });
    t.deepEqual(
      (await readdir(PACKAGE)).filter((name) => name.startsWith('unfinished')),
      [],
    );
  }
});

test.serial('a mistake on the command line ends it with one message', async (t) => {
  const { code, stdout, stderr } = await ijepaHere(['engine', 'install', 'openvino', '--from', '/nowhere.whl']);
  t.is(code, 2, stderr);
  t.regex(stderr, /^ijepa: \/nowhere\.whl does not exist\n {2}what to do: .*\n$/);
  t.notRegex(stdout, /use it with/);
});
