import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import test from 'ava';
import { SMALLEST, startProgram, temporaryFolder } from './helpers/command.js';
import { COMMAND } from './helpers/paths.js';

const HAS_STRACE = spawnSync('strace', ['-V']).status === 0;
/** Calls that make, change or remove a file or folder, with the first path that they name. */
const CHANGES =
  /^\d+ +(?:mkdir|rename|unlink|rmdir|link|symlink|truncate|chmod|mknod|creat|openat?)\w*\((?:AT_FDCWD, )?"([^"]*)"(.*)/;
const WRITES = /O_(?:WRONLY|RDWR|CREAT)/;

test('pretrain, probe and help write nothing outside their folders and open no internet socket', async (t) => {
  const folder = await temporaryFolder(t);
  const work = join(folder, 'work');
  const home = join(folder, 'home');
  await mkdir(work);
  await mkdir(home);
  const training = SMALLEST.filter((word) => word !== '--engine' && word !== 'wasm'); // the engine that would report
  for (const [index, args] of [
    ['pretrain', ...training, '--micro-batch-size', '4', '--threads', '2', '--epochs', '1', '--out', 'run'], // in two lanes
    [
      'probe',
      'run',
      '--data',
      'shapes:32',
      ...'--protocol paper --views 0 --layers last --out results --no-baseline'.split(' '),
    ],
    ['--help'],
  ].entries()) {
    const trace = join(folder, `trace-${index}`);
    const watcher = HAS_STRACE ? ['strace', '-f', '--seccomp-bpf', '-o', trace, '-e', 'trace=socket,%file'] : [];
    const sockets = new Set<string>();
    let timer: NodeJS.Timeout | undefined;
    const { code, stderr } = await startProgram([...watcher, process.execPath, COMMAND, ...args], {
      cwd: work,
      env: { HOME: home, XDG_CACHE_HOME: '', ORT_DISABLE_TELEMETRY: '0' },
      started({ pid }) {
        timer = setInterval(() => {
          for (const socket of internetSockets(pid ?? 0)) sockets.add(socket);
        }, 20);
      },
    });
    clearInterval(timer);
    t.is(code, 0, stderr);
    t.deepEqual([...sockets], [], 'internet sockets');
    if (HAS_STRACE) {
      const calls = readFileSync(trace, 'utf8').split('\n');
      t.true(calls.length > 100);
      t.deepEqual(
        calls.filter((call) => /socket\(AF_INET/.test(call)),
        [],
        'internet sockets',
      );
      t.deepEqual(
        calls.flatMap((call) => outside(call, work)),
        [],
        'written',
      );
    }
  }
  t.deepEqual(await readdir(home), []);
  t.deepEqual((await readdir(work)).sort(), ['results', 'run']);
});

/** The path that a call writes to, where it lies outside of the folder. */
function outside(call: string, folder: string): string[] {
  const [, path = '', more = ''] = CHANGES.exec(call) ?? [];
  if (path === '' || (/^\d+ +open/.test(call) && !WRITES.test(more))) return [];
  const whole = resolve(folder, path);
  return whole.startsWith(folder) || /^\/(?:dev|proc)\//.test(whole) ? [] : [call];
}

/** The internet sockets that a process holds, where the system tells. */
function internetSockets(pid: number): string[] {
  const descriptors = `/proc/${pid}/fd`;
  if (!existsSync(descriptors)) return [];
  const tables = ['tcp', 'tcp6', 'udp', 'udp6'].map((kind) => readFileSync(`/proc/net/${kind}`, 'utf8').split('\n'));
  const known = new Set(tables.flat().map((line) => line.trim().split(/\s+/)[9]));
  return readdirSync(descriptors).flatMap((name) => {
    try {
      const [, inode] = /^socket:\[(\d+)\]$/.exec(readlinkSync(join(descriptors, name))) ?? [];
      return inode !== undefined && known.has(inode) ? [inode] : [];
    } catch {
      return []; // closed meanwhile
    }
  });
}
