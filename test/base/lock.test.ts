import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { createConsole } from '../../core/base/console.js';
import { UserError } from '../../core/base/errors.js';
import { FileLock, judgeOwner, type LockOwner, thisProcess } from '../../core/base/lock.js';
import { downloadDataSet } from '../../core/data/download.js';
import { ijepa, temporaryFolder } from '../helpers/command.js';
import { FIXTURES, ROOT } from '../helpers/paths.js';
import { toyDataSet } from '../helpers/toy-data.js';

const RACER = join(ROOT, 'dist', 'test', 'helpers', 'lock-race.js');
/** Whether the system tells when processes and itself were started. */
const onLinux = existsSync('/proc/self/stat') ? test : test.skip;
/** No system gives so high a number to a process. */
const NO_PROCESS = 2 ** 30;

const lockAt = (path: string) => new FileLock(path, { thing: 'the run', doing: 'training it' });

/** A lock file of some process. */
async function lockOf(t: ExecutionContext, owner: Partial<LockOwner>): Promise<string> {
  const path = join(await temporaryFolder(t), 'run.lock');
  await writeFile(path, JSON.stringify({ ...thisProcess('abc123'), ...owner }));
  return path;
}

/** Lets processes take a lock at the same moment; those that took it go on until the test ends. */
async function race(
  t: ExecutionContext,
  path: string,
  count: number,
): Promise<{ child: ChildProcess; said: string }[]> {
  const at = String(Date.now() + 700);
  return Promise.all(
    Array.from({ length: count }, async () => {
      const child = spawn(process.execPath, [RACER, path, at], { stdio: ['ignore', 'pipe', 'inherit'] });
      t.teardown(() => child.kill('SIGKILL'));
      const [data] = await once(child.stdout, 'data');
      return { child, said: String(data) };
    }),
  );
}

test('a lock is taken by one, refused to others, and given back', async (t) => {
  const path = join(await temporaryFolder(t), 'run.lock');
  const [first, second] = [lockAt(path), lockAt(path)];
  await first.acquire();
  const error = await t.throwsAsync(() => second.acquire(), { instanceOf: UserError });
  t.regex(
    error?.report ?? '',
    new RegExp(`process ${process.pid} has been training it since \\d{4}-[\\s\\S]*kill ${process.pid}`),
  );
  await t.throwsAsync(() => second.check(), { message: /in use/ });
  await second.release();
  t.true(existsSync(path), 'who does not hold it cannot give it back');
  await first.release();
  t.deepEqual(await readdir(join(path, '..')), []);
  await second.check();
  await second.acquire();
  await second.release();
});

for (const [why, owner, declare] of [
  ['a process that is gone', { pid: NO_PROCESS }, test],
  ['a process whose number another one has now (needs /proc)', { processStart: '1' }, onLinux],
  ['a process from before the machine was started anew (needs /proc)', { boot: 'another' }, onLinux],
] as const) {
  declare(`a lock of ${why} is replaced`, async (t) => {
    const path = await lockOf(t, owner);
    await lockAt(path).check();
    await lockAt(path).acquire();
    t.is(JSON.parse(await readFile(path, 'utf8')).pid, process.pid);
    t.deepEqual(await readdir(join(path, '..')), ['run.lock']);
  });
}

test('a lock of another machine is not judged: the message says how to remove it', async (t) => {
  const path = await lockOf(t, { host: `not-${hostname()}`, pid: NO_PROCESS });
  const error = await t.throwsAsync(() => lockAt(path).acquire(), { instanceOf: UserError });
  t.regex(error?.report ?? '', /machine 'not-[\s\S]*cannot be told[\s\S]*remove .*run\.lock/);
});

test('a lock whose holder died, and others after it while they replaced it, is taken, and nothing of them is left', async (t) => {
  const path = await lockOf(t, { pid: NO_PROCESS });
  const dead = (nonce: string) => JSON.stringify({ ...thisProcess(nonce), pid: NO_PROCESS });
  await writeFile(`${path}.def`, dead('def'));
  await writeFile(`${path}.0123`, dead('0123'));
  const lock = lockAt(path);
  await lock.acquire();
  t.is(JSON.parse(await readFile(path, 'utf8')).pid, process.pid);
  t.deepEqual(await readdir(join(path, '..')), ['run.lock']);
  await lock.release();
});

test('the lock of a dead process is not replaced while another live process announces that it does', async (t) => {
  const path = await lockOf(t, { pid: NO_PROCESS });
  await writeFile(`${path}.def`, JSON.stringify(thisProcess('def')));
  const lock = lockAt(path);
  const taking = lock.acquire();
  await setTimeout(200);
  t.is(JSON.parse(await readFile(path, 'utf8')).pid, NO_PROCESS);
  await rm(`${path}.def`);
  await taking;
  t.is(JSON.parse(await readFile(path, 'utf8')).pid, process.pid);
});

test('a lock that is held for moments is waited for, and one of another machine is void when it is old', async (t) => {
  const path = join(await temporaryFolder(t), 'results.json.lock');
  const [first, second] = [lockAt(path), lockAt(path)];
  await first.acquire(5000);
  const waiting = second.acquire(5000);
  await setTimeout(60);
  await first.release();
  await waiting;
  await t.throwsAsync(() => first.acquire(100), { instanceOf: UserError, message: /is in use/ });
  await second.release();
  const elsewhere = { ...thisProcess('abc'), host: `not-${hostname()}` };
  await writeFile(path, JSON.stringify({ ...elsewhere, since: new Date(Date.now() - 3_600_000).toISOString() }));
  await t.throwsAsync(() => first.acquire(), { message: /cannot be told/ }, 'one that is not held for moments');
  await first.acquire(100);
  await first.release();
  await writeFile(path, JSON.stringify(elsewhere));
  await t.throwsAsync(() => first.acquire(100), { instanceOf: UserError, message: /machine 'not-/ });
});

for (const content of ['', 'rubbish', '{"pid":-1}', '\0\0\0']) {
  test(`a lock that holds ${JSON.stringify(content)} is told of, not replaced`, async (t) => {
    const path = join(await temporaryFolder(t), 'run.lock');
    await writeFile(path, content);
    await t.throwsAsync(() => lockAt(path).acquire(), { instanceOf: UserError, message: /cannot be understood/ });
    t.is(await readFile(path, 'utf8'), content);
  });
}

onLinux('a process that has ended and was not yet asked for by its parent counts as gone (needs /proc)', async (t) => {
  // The shell starts a process, tells its number, and becomes a program that never asks for its children.
  const parent = spawn('sh', ['-c', 'sleep 1 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => parent.kill('SIGKILL'));
  const pid = Number(String((await once(parent.stdout, 'data'))[0]));
  const owner: LockOwner = { ...thisProcess('abc'), pid, processStart: null };
  t.is(judgeOwner(owner), 'alive');
  while (judgeOwner(owner) !== 'gone') await setTimeout(50);
  process.kill(pid, 0); // it is still listed
  t.pass();
});

test.serial('of processes that take a free lock at the same moment one gets it', async (t) => {
  const path = join(await temporaryFolder(t), 'run.lock');
  const said = (await race(t, path, 6)).map(({ said }) => said);
  t.is(said.filter((text) => text === 'taken\n').length, 1, said.join());
  t.is(said.filter((text) => text.startsWith('refused: the run is in use')).length, 5, said.join());
});

test.serial('of processes that replace a lock of a dead one at the same moment one gets it, every time', async (t) => {
  const path = await lockOf(t, { pid: NO_PROCESS });
  // A process that died while it was replacing the lock has left a lock of its own.
  await writeFile(`${path}.def`, JSON.stringify({ ...thisProcess('def'), pid: NO_PROCESS }));
  for (let round = 0; round < 3; round++) {
    const racers = await race(t, path, 6);
    const winners = racers.filter(({ said }) => said === 'taken\n');
    t.is(winners.length, 1, racers.map(({ said }) => said).join());
    const { child } = winners[0] as { child: ChildProcess };
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
});

test('one process at a time packs into a folder, or fetches into it', async (t) => {
  const folder = await temporaryFolder(t);
  const toy = toyDataSet([{ url: 'http://127.0.0.1:9/never-asked.tar' }]);
  const fetch = () =>
    downloadDataSet({
      dataSet: toy,
      folder,
      keepArchives: false,
      console: createConsole(true),
      signal: AbortSignal.timeout(9000),
    });
  const pack = () => ijepa(['data', 'pack', join(FIXTURES, 'data', 'folder', 'train'), '--out', folder]);
  const hold = async (name: string) => {
    const lock = lockAt(join(folder, name));
    await lock.acquire();
    return lock;
  };
  const packing = await hold('.ijepa-pack.lock');
  const refused = await pack();
  t.is(refused.code, 2);
  t.regex(refused.stderr, /^ijepa: .* is in use: process \d+ has been packing into it/);
  await packing.release();
  const fetching = await hold('.ijepa-download.lock');
  await t.throwsAsync(fetch, { instanceOf: UserError, message: /is in use: process \d+ has been fetching into it/ });
  await fetching.release();
  t.is((await pack()).code, 0);
  t.deepEqual(
    (await readdir(folder)).filter((name) => name.includes('lock')),
    [],
  );
});
