import { spawnSync } from 'node:child_process';
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, sep } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { commandName } from '../../core/base/program.js';
import { type Ended, SMALLEST, startProgram, temporaryFolder } from '../helpers/command.js';
import { ROOT } from '../helpers/paths.js';

const LAUNCHER = join(ROOT, 'bin', 'start.cjs');

/**
 * The program in a folder of its own, in which everything is a link, so that it finds no ONNX Runtime beside itself.
 * @param without packages of such names
 */
async function elsewhere(
  t: ExecutionContext,
  without?: RegExp,
): Promise<{ folder: string; run: (args: string[]) => Promise<Ended> }> {
  const folder = await temporaryFolder(t);
  for (const name of ['bin', 'dist', 'fonts', 'package.json']) await symlink(join(ROOT, name), join(folder, name));
  const packages = await readdir(join(ROOT, 'node_modules'));
  const scoped = packages.filter((name) => name.startsWith('@'));
  for (const scope of scoped) await mkdir(join(folder, 'node_modules', scope), { recursive: true });
  const own = await Promise.all(
    scoped.map(async (scope) => (await readdir(join(ROOT, 'node_modules', scope))).map((name) => `${scope}/${name}`)),
  );
  for (const name of [...packages, ...own.flat()]) {
    if (scoped.includes(name) || without?.test(name)) continue;
    await symlink(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name));
  }
  const server = createServer((_request, response) => {
    response.statusCode = 404;
    response.end('{}');
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  t.teardown(() => server.close());
  const env = {
    npm_config_registry: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    npm_config_cache: join(folder, 'cache'),
    npm_config_fetch_retries: '0',
    npm_execpath: '', // of the npm that runs the tests
  };
  const command = [
    process.execPath,
    '--preserve-symlinks',
    '--preserve-symlinks-main',
    join(folder, 'dist', 'bin', 'ijepa.js'),
  ];
  return { folder, run: (args) => startProgram([...command, ...args], { cwd: folder, env }) };
}

test('without ONNX Runtime auto says that it is slow and how to get the fast engine, in one line', async (t) => {
  const { run } = await elsewhere(t, /^@tensorflow/);
  const args = SMALLEST.filter((word) => word !== '--engine' && word !== 'wasm');
  const { code, stdout, stderr } = await run(['pretrain', ...args, '--epochs', '1', '--out', 'run']);
  t.is(code, 0, stderr);
  t.regex(stdout, /^engine {5}wasm /m);
  const lines = stderr.split('\n').filter((line) => line.includes('onnx'));
  t.is(lines.length, 1, stderr);
  t.regex(
    lines[0] ?? '',
    /slower than onnx, which is not there: .* is not installed; get it by: node \S+ engine install onnx$/,
  );
  const named = await run(['bench', '--engine', 'onnx', '--config', 'tiny', '--steps', '1']);
  t.is(named.code, 2);
  t.regex(named.stderr, /the engine onnx is not available: .*engine install onnx/);
});

test('an installation of ONNX Runtime that fails says why and leaves nothing', async (t) => {
  const { folder, run } = await elsewhere(t);
  const missing = await run(['engine', 'install', 'onnx']);
  t.is(missing.code, 2, missing.stderr);
  t.regex(missing.stderr, /npm could not fetch onnxruntime-node@[\d.]+:\n.*404/);
  const unknown = await run(['engine', 'install', 'onnx', '--platform', 'linux-x46']);
  t.is(unknown.code, 2);
  t.regex(unknown.stderr, /unknown platform 'linux-x46'[\s\S]*did you mean 'linux-x64'/);
  t.deepEqual(await readdir(join(folder, 'vendor')), []);
});

test('without the optional packages of sharp there is one message', async (t) => {
  const { run } = await elsewhere(t, /^@img\/sharp/);
  const { code, stderr } = await run(['data', 'info', 'shapes:8']);
  t.is(code, 2, stderr);
  t.regex(
    stderr,
    /^ijepa: the library that reads pictures is not installed: .*sharp.*\n {2}expected: .*\n {2}what to do: .*--include=optional\n$/,
  );
});

test('a Node that is too old gets one message', async (t) => {
  const folder = await temporaryFolder(t);
  for (const [version, isEnough] of [
    ['20.18.3', false],
    ['20.19.0', true],
    ['21.7.3', false],
    ['22.11.0', false],
    ['22.12.0', true],
  ] as const) {
    const pretends = join(folder, 'pretends.cjs');
    await writeFile(
      pretends,
      `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } });`,
    );
    const { status, stdout, stderr } = spawnSync(process.execPath, ['-r', pretends, LAUNCHER, '--version'], {
      encoding: 'utf8',
    });
    t.is(status, isEnough ? 0 : 2, version);
    if (isEnough) t.regex(stdout, /^\d+\.\d+\.\d+\n$/);
    else
      t.regex(stderr, /^ijepa: Node [\d.]+ is too old\n {2}what to do: install Node 20\.19\.0, 22\.12\.0 or later\n$/);
  }
});

test('the command works through a link, from another folder, in a path with spaces', async (t) => {
  const folder = join(await temporaryFolder(t), 'a folder');
  await mkdir(folder);
  await symlink(LAUNCHER, join(folder, 'ijepa'));
  const { status, stdout, stderr } = spawnSync(join(folder, 'ijepa'), ['config'], { encoding: 'utf8', cwd: folder });
  t.is(status, 0, stderr);
  t.true(stdout.length > 1000);
});

test('messages name the command as it was called', (t) => {
  const path = (...parts: string[]) => `${sep}${parts.join(sep)}`;
  t.is(commandName(path('home', 'me', 'node_modules', '.bin', 'ijepa'), ''), 'npx ijepa');
  t.is(commandName(path('opt', 'bin', 'ijepa'), path('opt', 'bin')), 'ijepa');
  t.is(commandName(path('opt', 'bin', 'ijepa'), path('usr', 'bin')), path('opt', 'bin', 'ijepa'));
  t.is(commandName(path('my files', 'ijepa'), ''), `"${path('my files', 'ijepa')}"`);
  t.regex(commandName(join(ROOT, 'dist', 'bin', 'ijepa.js'), ''), /^node \S+ijepa\.js$/);
});
