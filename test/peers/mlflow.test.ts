import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { ijepa, SMALLEST, temporaryFolder } from '../helpers/command.js';
import { PYTHON, peerTest } from '../helpers/peer.js';

const ADDRESS = 'http://127.0.0.1:15055';

peerTest('mlflow', 'a server of MLflow shows every step of a run that was stopped and went on', async (t) => {
  const folder = await temporaryFolder(t);
  const store = `sqlite:///${join(folder, 'store.db')}`;
  const server = spawn(PYTHON, ['-m', 'mlflow', 'server', '--port', '15055', '--backend-store-uri', store], {
    cwd: folder,
    stdio: 'ignore',
    detached: true,
  });
  t.teardown(() => server.pid && process.kill(-server.pid));
  for (let tries = 0; tries < 120 && !(await isThere()); tries++) await wait(500);
  const run = ['pretrain', ...SMALLEST, '--epochs', '3', '--out', 'run', '--mlflow', ADDRESS];
  const stopped = await ijepa(run, folder, (child) => {
    child.stdout?.once('data', () => setTimeout(() => child.kill('SIGINT'), 1500));
  });
  t.true([0, 130].includes(stopped.code ?? -1), stopped.stderr);
  const ended = stopped.code === 0 ? stopped : await ijepa([...run, '--resume'], folder);
  t.is(ended.code, 0, ended.stderr);
  const { runs } = await ask('runs/search', { experiment_ids: ['1'] });
  t.is(runs.length, 1);
  const [{ info, data }] = runs;
  t.is(info.status, 'FINISHED');
  t.is(data.params.find(({ key }) => key === 'batchSize')?.value, '8');
  const query = new URLSearchParams({ run_id: info.run_id, metric_key: 'loss', max_results: '1000' });
  const history = await fetch(`${ADDRESS}/api/2.0/mlflow/metrics/get-history?${query}`).then((each) => each.json());
  const steps = (history as { metrics: { step: number }[] }).metrics.map(({ step }) => Number(step));
  t.deepEqual(
    steps.sort((a, b) => a - b),
    Array.from({ length: 18 }, (_, at) => at + 1),
  );
});

async function isThere(): Promise<boolean> {
  return fetch(`${ADDRESS}/health`).then(
    ({ ok }) => ok,
    () => false,
  );
}

interface FoundRun {
  info: { run_id: string; status: string };
  data: { params: { key: string; value: string }[] };
}

async function ask(path: string, content: object): Promise<{ runs: FoundRun[] }> {
  const headers = { 'content-type': 'application/json' };
  const request = { method: 'POST', headers, body: JSON.stringify(content) };
  const response = await fetch(`${ADDRESS}/api/2.0/mlflow/${path}`, request);
  return (await response.json()) as { runs: FoundRun[] };
}
