import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { type Peer, PHASES } from '../../core/train/communicator/guard/contract.js';
import { openHub } from '../../core/train/communicator/guard/hub.js';
import { Watch } from '../../core/train/communicator/guard/watch.js';
import type { Phase } from '../../core/train/communicator/guard.js';
import { type Ended, startProgram, temporaryFolder } from '../helpers/command.js';
import { ROOT } from '../helpers/paths.js';

const RANK = join(ROOT, 'dist', 'test', 'helpers', 'guarded-rank.js');
const REMEDY =
  '  what to do: start again, pretraining with --resume: it goes on from what is kept, its last checkpoint or features\n';
/** Seconds that no test takes. */
const LONG = 60;

interface Ranks {
  children: ChildProcess[];
  ended: Promise<Ended>[];
  /** Has them do their deeds. */
  go(): Promise<void>;
}

/** Starts a rank for each deed, and waits until all have opened their guards. */
async function startRanks(
  t: ExecutionContext,
  deeds: readonly string[],
  { silence = LONG, patience = LONG, hosts = deeds.map(() => 'node7') } = {},
): Promise<Ranks> {
  const folder = await temporaryFolder(t);
  const children: ChildProcess[] = [];
  const ended = deeds.map((deed, rank) => {
    const words = [folder, rank, deeds.length, hosts[rank], deed, silence, patience].map(String);
    return startProgram([process.execPath, RANK, ...words], { started: (child) => children.push(child) });
  });
  t.teardown(async () => {
    for (const child of children) child.kill('SIGKILL');
    await Promise.all(ended);
  });
  await Promise.all(children.map(({ stdout }) => stdout && once(stdout, 'data')));
  return { children, ended, go: () => writeFile(join(folder, 'go'), '') };
}

/** What all ranks have said on standard error. */
async function saidBy(ended: readonly Promise<Ended>[]): Promise<string> {
  return (await Promise.all(ended)).map(({ stderr }) => stderr).join('');
}

const codesOf = async (ended: readonly Promise<Ended>[]) => (await Promise.all(ended)).map(({ code }) => code);

for (const dead of [0, 2]) {
  test.serial(`a rank that is killed is named once, and the others end: rank ${dead}`, async (t) => {
    const { children, ended } = await startRanks(t, ['wait', 'wait', 'wait']);
    children[dead]?.kill('SIGKILL');
    const pid = children[dead]?.pid;
    const said = `ijepa: rank ${dead} on node7 (process ${pid}) has ended: it was killed, or it crashed\n${REMEDY}`;
    t.is(await saidBy(ended), said);
    t.deepEqual(
      await codesOf(ended),
      [0, 1, 2].map((rank) => (rank === dead ? null : 2)),
    );
    const speaker = (await Promise.all(ended)).findIndex(({ stderr }) => stderr !== '');
    t.is(speaker, dead === 0 ? 1 : 0);
  });
}

test.serial('a rank that ends by itself without a goodbye is named, too', async (t) => {
  const { ended, go } = await startRanks(t, ['wait', 'exit', 'wait']);
  await go();
  t.regex(await saidBy(ended), /^ijepa: rank 1 on node7 \(process \d+\) has ended: [^\n]+\n[^\n]+--resume[^\n]+\n$/);
  t.deepEqual(await codesOf(ended), [2, 7, 2]);
});

for (const stopped of [0, 2]) {
  test.serial(`a process that is stopped is silent, and ends when it wakes up: rank ${stopped}`, async (t) => {
    const { children, ended } = await startRanks(t, ['wait', 'wait', 'wait'], { silence: 2 });
    children[stopped]?.kill('SIGSTOP');
    await Promise.all(ended.filter((_, rank) => rank !== stopped));
    children[stopped]?.kill('SIGCONT');
    const problem = `nothing has been heard of rank ${stopped} on node7 for 2 s: it hangs, or its host cannot be reached`;
    t.is(await saidBy(ended), `ijepa: ${problem}\n${REMEDY}`);
    t.deepEqual(await codesOf(ended), [2, 2, 2]);
  });
}

test.serial('ranks that are all stopped for a while go on', async (t) => {
  const { children, ended, go } = await startRanks(t, ['close', 'close', 'close'], { silence: 2 });
  for (const child of children) child.kill('SIGSTOP');
  await setTimeout(4000);
  for (const child of children) child.kill('SIGCONT');
  await go();
  t.is(await saidBy(ended), '');
  t.deepEqual(await codesOf(ended), [0, 0, 0]);
});

for (const [busy, own] of ['loop', 'hang'].entries()) {
  test.serial(
    `a main thread that does not get on is named while the others wait, and ends: rank ${busy} in a ${own}`,
    async (t) => {
      const deeds = ['wait', 'block', 'wait'].map((deed, rank) => (rank === busy ? own : deed));
      const { ended, go } = await startRanks(t, deeds, { patience: 2 });
      await go();
      const problem = `rank ${busy} on node7 has been reading images for 2 s while the others wait`;
      t.is(await saidBy(ended), `ijepa: ${problem}\n${REMEDY}`);
      t.deepEqual(await codesOf(ended), [2, 2, 2]);
    },
  );
}

for (const failing of [0, 2]) {
  test.serial(`a rank that fails has rank 0 say why: rank ${failing}`, async (t) => {
    const deeds = ['wait', 'block', 'wait'].map((deed, rank) => (rank === failing ? 'fail' : deed));
    const { ended, go } = await startRanks(t, deeds);
    await go();
    const name = failing === 0 ? '' : `rank ${failing} on node7: `; // rank 0 speaks for itself
    const said = `ijepa: ${name}image ${failing} is damaged\n  what to do: remove it\n`;
    t.is((await ended[0])?.stderr, said);
    t.is(await saidBy(ended), said);
    t.deepEqual(await codesOf(ended), [2, 2, 2]);
  });
}

test.serial('of ranks that all fail, one is reported', async (t) => {
  const { ended, go } = await startRanks(t, ['fail', 'fail', 'fail']);
  await go();
  t.regex(await saidBy(ended), /^ijepa: (?:rank \d on node7: )?image \d is damaged\n {2}what to do: remove it\n$/);
  t.deepEqual(await codesOf(ended), [2, 2, 2]);
});

test.serial('a run that ends in order ends without a word', async (t) => {
  const { ended, go } = await startRanks(t, ['close', 'close', 'close']);
  await go();
  t.is(await saidBy(ended), '');
  t.deepEqual(await codesOf(ended), [0, 0, 0]);
});

for (const mistake of ['wrong token', 'wrong port']) {
  test.serial(
    `without a channel a run goes on, warned once, and a rank says itself why it fails: ${mistake}`,
    async (t) => {
      const { ended, go } = await startRanks(t, ['close', mistake, 'fail']);
      await go();
      const [first, second, third] = await Promise.all(ended);
      const warning = 'warning: rank 1 on node7 does not reach rank 0 by TCP: it will not be noticed when a rank hangs';
      t.is(first?.stderr, `ijepa: ${warning}\n`);
      t.is(second?.stderr, '');
      t.is(third?.stderr, 'ijepa: rank 2 on node7: image 2 is damaged\n  what to do: remove it\n');
      t.deepEqual(await codesOf(ended), [0, 0, 2]);
    },
  );
}

test.serial('ranks on several hosts meet by the addresses of rank 0', async (t) => {
  const addresses = Object.values(networkInterfaces()).flatMap((of) => of ?? []);
  if (!addresses.some(({ internal, scopeid }) => !internal && !scopeid)) {
    t.log('skipped: this machine has no address but its own');
    t.pass();
    return;
  }
  const { ended, go } = await startRanks(t, ['wait', 'fail'], { hosts: ['node7', 'node8'] });
  await go();
  t.is(await saidBy(ended), 'ijepa: rank 1 on node8: image 1 is damaged\n  what to do: remove it\n');
  t.deepEqual(await codesOf(ended), [2, 2]);
});

test('who does not know the token is dropped, and hears nothing', async (t) => {
  const board = new Int32Array(new SharedArrayBuffer(8));
  const job = { rank: 0, peers: PEERS.map((peer) => ({ ...peer, host: 'node1' })), door: null, board };
  const hub = await openHub({ ...job, silence: LONG, patience: LONG }, (report) => t.fail(report));
  const { port, token } = hub.door;
  for (const greeting of ['GET / HTTP/1.1\n', 'join 1\n', `hello ${'0'.repeat(32)}\n`, 'hello '.padEnd(300, '0')]) {
    const socket = connect(port);
    socket.on('data', () => t.fail(greeting));
    socket.on('error', () => {});
    socket.write(greeting);
    await once(socket, 'close');
  }
  const known = connect(port);
  known.write(`hello ${token}\n`);
  t.is(String(await once(known, 'data')), `welcome ${token}\n`);
  known.destroy();
  await hub.close();
});

const PEERS: readonly Peer[] = ['node1', 'node2', 'node3'].map((host, rank) => ({ host, pid: rank + 1 }));

/** Tells a watch what ranks do, and lets seconds pass. @returns what it says of that */
function passSeconds(watch: Watch, seconds: number, phases: readonly Phase[], counterOf = (_second: number) => 0) {
  for (let second = 0; second < seconds; second++) {
    for (const [rank, phase] of phases.entries()) watch.heard(rank, PHASES.indexOf(phase), counterOf(second));
    const report = watch.pass(1);
    if (report !== null) return report;
  }
  return null;
}

test('ranks that get on, or for which nobody waits, may take their time', (t) => {
  const watch = new Watch(PEERS, { silence: 10, patience: 30 });
  t.is(passSeconds(watch, 100, ['computing', 'computing', 'saving']), null);
  t.is(
    passSeconds(watch, 100, ['evaluating', 'waiting', 'waiting'], (second) => second >> 3),
    null,
  );
  t.is(passSeconds(watch, 29, ['computing', 'waiting', 'waiting']), null);
  t.regex(
    passSeconds(watch, 5, ['computing', 'waiting', 'waiting']) ?? '',
    /^rank 0 on node1 has been computing for 30 s/,
  );
});

test('ranks that all wait for one another are noticed', (t) => {
  const watch = new Watch(PEERS, { silence: 10, patience: 30 });
  const report = passSeconds(watch, 40, ['waiting', 'waiting', 'waiting']);
  t.regex(report ?? '', /^all ranks have been waiting for one another for 30 s\n/);
});

test('a rank that has said goodbye is not missed', (t) => {
  const watch = new Watch(PEERS, { silence: 10, patience: 30 });
  watch.leave(2);
  t.is(passSeconds(watch, 25, ['computing', 'computing']), null);
  watch.leave(1);
  t.is(passSeconds(watch, 25, ['computing']), null);
});
