import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import test, { type ExecutionContext } from 'ava';
import { UserError } from '../../core/base/errors.js';
import { trackRun } from '../../core/run/mlflow.js';
import type { LogRow } from '../../core/run/run-log.js';
import { scalarsOf } from '../../core/run/scalars.js';

const RUN = { name: 'a', identity: '2026', started: 1e12, options: { seed: 3, loss: 'l2', out: null } };
const row = (step: number): LogRow => ({
  epoch: 1,
  step,
  loss: 1 / step,
  terms: { prediction: 0.5 },
  method: {},
  rates: { learningRate: 0.1 },
  gradientNorm: Number.NaN,
  operations: 1,
  imagesPerSecond: 2,
  seconds: 3,
  waitSeconds: 4,
  skippedImages: 0,
  featureStd: null,
  featureRank: null,
});

test('numbers of a row go by names with slashes; those that are not there are left out', (t) => {
  t.deepEqual(Object.fromEntries(scalarsOf({ ...row(2), monitors: { mine: { a: 1, b: null } } })), {
    epoch: 1,
    loss: 0.5,
    'terms/prediction': 0.5,
    'rates/learningRate': 0.1,
    'speed/imagesPerSecond': 2,
    'speed/waitSeconds': 4,
    'monitors/mine/a': 1,
  });
});

test('a run is made once, with its options, and gets every step in parts of a thousand numbers', async (t) => {
  const server = await fakeServer(t);
  const tracking = await trackRun(server.address, RUN, t.fail);
  t.is(tracking.page, `${server.address}#/experiments/7/runs/r1`);
  for (let step = 1; step <= 250; step++) tracking.add(row(step));
  await tracking.end('FINISHED');
  t.deepEqual(server.params, [
    { key: 'seed', value: '3' },
    { key: 'loss', value: 'l2' },
  ]);
  const losses = server.metrics.filter(({ key }) => key === 'loss').map(({ step }) => step);
  t.deepEqual(
    losses,
    Array.from({ length: 250 }, (_, at) => at + 1),
  );
  t.true(server.largest <= 1000);
  t.is(server.status, 'FINISHED');
});

test('a run that goes on sends no step twice', async (t) => {
  const server = await fakeServer(t);
  const first = await trackRun(server.address, RUN, t.fail);
  for (const step of [1, 2, 3]) first.add(row(step));
  await first.end('KILLED');
  const second = await trackRun(server.address, RUN, t.fail);
  t.is(server.runs, 1);
  t.is(server.status, 'RUNNING');
  for (const step of [2, 3, 4]) second.add(row(step));
  await second.end('FINISHED');
  t.deepEqual(
    server.metrics.filter(({ key }) => key === 'loss').map(({ step }) => step),
    [1, 2, 3, 4],
  );
});

test('a server that goes away stops nothing; its steps are sent when it is back', async (t) => {
  const server = await fakeServer(t);
  const warnings: string[] = [];
  const tracking = await trackRun(server.address, RUN, (message) => warnings.push(message));
  server.isBroken = true;
  tracking.add(row(1));
  await tracking.end('KILLED');
  t.is(warnings.length, 2);
  t.regex(warnings[0], /answers 503 busy; what was logged is sent later/);
  t.regex(warnings[1], /answers 503 busy; 1 steps are in log\.jsonl alone/);
  server.isBroken = false;
  tracking.add(row(2));
  await tracking.end('FINISHED');
  t.deepEqual(
    server.metrics.filter(({ key }) => key === 'loss').map(({ step }) => step),
    [1, 2],
  );
});

test('what is no server of MLflow is said in one message', async (t) => {
  const server = createServer((_, response) => response.end('hello')).listen(0);
  t.teardown(() => server.close());
  const other = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const cases: [address: string, message: RegExp][] = [
    ['mlruns', /--mlflow cannot be mlruns/],
    ['http://user:word@localhost:1', /cannot be an address with a password/],
    [other, /does not answer as MLflow does/],
    ['http://127.0.0.1:1', /cannot be reached: connect ECONNREFUSED|cannot be reached: bad port/],
  ];
  for (const [address, message] of cases) {
    await t.throwsAsync(trackRun(address, RUN, t.fail), { instanceOf: UserError, message });
  }
});

interface Metric {
  key: string;
  step: number;
}

interface Content {
  params?: object[];
  metrics?: Metric[];
  status?: string;
}

/** Answers as MLflow does, for one run. */
async function fakeServer(t: ExecutionContext) {
  const state = {
    address: '',
    isBroken: false,
    runs: 0,
    status: '',
    largest: 0,
    params: [] as object[],
    metrics: [] as Metric[],
  };
  const answer = async (request: IncomingMessage): Promise<[status: number, content: object]> => {
    const content = (request.method === 'POST' ? await json(request) : {}) as Content;
    if (state.isBroken) return [503, { message: 'busy' }];
    switch (new URL(request.url ?? '', 'http://host').pathname.replace('/api/2.0/mlflow/', '')) {
      case 'experiments/get-by-name':
        return [404, { error_code: 'RESOURCE_DOES_NOT_EXIST', message: 'no such experiment' }];
      case 'experiments/create':
        return [200, { experiment_id: '7' }];
      case 'runs/search':
        return [200, state.runs === 0 ? {} : { runs: [{ info: { run_id: 'r1' }, data: { metrics: state.metrics } }] }];
      case 'runs/create':
        state.runs += 1;
        return [200, { run: { info: { run_id: 'r1' } } }];
      case 'runs/log-batch':
        state.params.push(...(content.params ?? []));
        state.metrics.push(...(content.metrics ?? []));
        state.largest = Math.max(state.largest, content.metrics?.length ?? 0);
        return [200, {}];
      case 'runs/update':
        state.status = content.status ?? '';
        return [200, {}];
      default:
        return [404, { message: `no ${request.url}` }];
    }
  };
  const server = createServer((request, response) => {
    void answer(request).then(([status, content]) => response.writeHead(status).end(JSON.stringify(content)));
  }).listen(0);
  t.teardown(() => server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  state.address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return state;
}
