import { appendFile, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import { UserError } from '../../core/base/errors.js';
import { thisProcess } from '../../core/base/lock.js';
import { METHODS } from '../../core/methods/registry.js';
import type { ReportFacts } from '../../core/report/facts.js';
import { livePage } from '../../core/run/live-page.js';
import { openRuns } from '../../core/run/report-facts.js';
import { startWatchServer } from '../../core/run/watch-server.js';
import { ijepaHere, SMALLEST, temporaryFolder } from '../helpers/command.js';
import { factsIn } from '../helpers/report.js';

const SERVED = { '/': { type: 'text/plain', make: async () => 'the page' } };

/** Sends bytes and gives all that comes back until the connection ends. */
function exchange(port: number, sent: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(sent));
    let received = '';
    socket.on('data', (data) => {
      received += data;
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(received));
  });
}

test('only GET and HEAD of known paths by the name of this machine are answered', async (t) => {
  const server = await startWatchServer(0, SERVED, t.fail);
  const { port } = server;
  t.teardown(server.close);
  const ask = (start: string, host: string | null = `127.0.0.1:${port}`) =>
    exchange(port, `${start}\r\n${host === null ? '' : `Host: ${host}\r\n`}Connection: close\r\n\r\n`);
  for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, 'localhost', '127.0.0.1']) {
    const answer = await ask('GET / HTTP/1.1', host);
    t.regex(answer, /^HTTP\/1\.1 200 [\s\S]*\r\n\r\nthe page$/, host);
    t.regex(answer, /nosniff/);
    t.notRegex(answer, /Access-Control/i);
  }
  t.regex(await ask('HEAD / HTTP/1.1'), /^HTTP\/1\.1 200 [\s\S]*Content-Length: 8[\s\S]*\r\n\r\n$/);
  const refused: [status: number, start: string, host?: string | null][] = [
    [403, 'GET / HTTP/1.1', 'evil.example'],
    [403, 'GET / HTTP/1.1', `evil.example:${port}`],
    [403, 'GET / HTTP/1.1', `127.0.0.1:${port + 1}`],
    [403, 'GET / HTTP/1.1', `127.0.0.1.evil.example:${port}`],
    [403, 'GET / HTTP/1.0', null],
    [404, 'GET /../../../../etc/passwd HTTP/1.1'],
    [404, 'GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1'],
    [404, 'GET //etc/passwd HTTP/1.1'],
    [404, 'GET /? HTTP/1.1'],
    [404, 'GET /__proto__ HTTP/1.1'],
    [404, 'GET http://127.0.0.1/ HTTP/1.1'],
    [405, 'POST / HTTP/1.1'],
    [405, 'PUT / HTTP/1.1'],
    [405, 'DELETE / HTTP/1.1'],
    [405, 'OPTIONS / HTTP/1.1'],
  ];
  for (const [status, start, host] of refused) {
    const answer = await ask(start, host);
    t.regex(answer, new RegExp(`^HTTP/1\\.1 ${status} `), `${start} ${host}`);
    t.regex(answer, /\r\n\r\n$/, 'with nothing in it');
  }
  const body = await exchange(port, `POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\nhalf`);
  t.regex(body, /^HTTP\/1\.1 405 /, 'a body is not waited for');
  for (const nonsense of [
    '\0\0\0\0\r\n\r\n',
    `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`,
  ]) {
    t.is(await exchange(port, nonsense), '');
  }
  await t.throwsAsync(startWatchServer(port, SERVED, t.fail), {
    instanceOf: UserError,
    message: `port ${port} is taken`,
  });
});

test('what fails while a text is made is told, and the server goes on', async (t) => {
  const told: string[] = [];
  const broken = { '/x': { type: 'text/plain', make: () => Promise.reject(new Error('the disk is gone')) } };
  const server = await startWatchServer(0, { ...SERVED, ...broken }, (reason) => told.push(reason));
  t.teardown(server.close);
  t.is((await fetch(`http://127.0.0.1:${server.port}/x`)).status, 500);
  t.deepEqual(told, ['the disk is gone']);
  t.is(await (await fetch(`http://127.0.0.1:${server.port}/`)).text(), 'the page');
});

test.serial('the page of a run follows its log, and says when it was killed or has vanished', async (t) => {
  const run = join(await temporaryFolder(t), 'run');
  t.is((await ijepaHere(['pretrain', ...SMALLEST, '--epochs', '2', '--out', run])).code, 0);
  const log = join(run, 'log.jsonl');
  const lines = (await readFile(log, 'utf8')).trimEnd().split('\n');
  await writeFile(
    log,
    lines
      .slice(0, 3)
      .map((line) => `${line}\n`)
      .join(''),
  );
  const state = { format: 'ijepa-run-state-1', state: 'running', reason: null, savedStep: 0 };
  await writeFile(join(run, 'state.json'), JSON.stringify(state));
  await writeFile(join(run, 'run.lock'), JSON.stringify(thisProcess('abc')));
  const [shown] = await openRuns([run], async () => METHODS);
  const served = livePage(shown, [], { pictures: null, picturesNote: 'none' }, t.fail);
  const server = await startWatchServer(0, served, t.fail);
  t.teardown(server.close);
  const url = `http://127.0.0.1:${server.port}`;
  const look = async (wanted: (facts: ReportFacts) => boolean) => {
    for (let tries = 0; tries < 1000; tries++) {
      const facts = (await (await fetch(`${url}/data.json`)).json()) as ReportFacts;
      if (wanted(facts)) return facts.runs[0];
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    throw new Error('it never said so');
  };
  const first = factsIn(await (await fetch(`${url}/`)).text());
  t.is(first.refreshMs, 2000);
  t.regex(first.runs[0].masks ?? '', /^data:/);
  t.like(first.runs[0].standing, { state: 'running', step: 3 });
  await appendFile(log, `${lines[3]}\n`);
  const grown = await look(({ runs }) => runs[0].standing?.step === 4);
  t.is(grown.curves[0].values.length, 4);
  t.is(grown.masks, null, 'it does not change');
  await writeFile(join(run, 'run.lock'), JSON.stringify({ ...thisProcess('abc'), pid: 2 ** 30 }));
  const killed = await look(({ runs }) => runs[0].standing?.state !== 'running');
  t.like(killed.standing, { state: 'interrupted', reason: 'killed' });
  await rm(run, { recursive: true });
  t.is((await look(({ runs }) => runs[0].standing?.state === 'gone')).curves.length, 0);
});

test.serial('a signal ends the page with its exit code, and a taken port is one message', async (t) => {
  const folder = await temporaryFolder(t);
  t.is((await ijepaHere(['pretrain', ...SMALLEST, '--epochs', '1', '--out', 'run'], folder)).code, 0);
  const server = await startWatchServer(0, SERVED, t.fail);
  t.teardown(server.close);
  const taken = await ijepaHere(['watch', 'run', '--port', String(server.port)], folder);
  t.is(taken.code, 2);
  t.regex(taken.stderr, /^ijepa: port \d+ is taken\n.*\n.*--port 0/);
  const before = process.listenerCount('SIGTERM');
  const watching = ijepaHere(['watch', 'run', '--port', '0', '--json'], folder);
  while (process.listenerCount('SIGTERM') === before) await new Promise((resolve) => setTimeout(resolve, 10));
  await new Promise((resolve) => setTimeout(resolve, 300));
  process.emit('SIGTERM', 'SIGTERM');
  const { code, stdout } = await watching;
  t.is(code, 143);
  t.regex((JSON.parse(stdout) as { url: string }).url, /^http:\/\/127\.0\.0\.1:\d+\/$/);
});
