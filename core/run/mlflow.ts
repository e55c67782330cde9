import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';
import { attempt, UserError } from '../base/errors.js';
import { PROGRAM } from '../base/program.js';
import { networkReason } from '../fetch/request.js';
import type { LogRow } from './run-log.js';
import { scalarsOf } from './scalars.js';

/** Metrics, parameters and tags that a server takes at once. */
const MOST_METRICS = 1000;
const MOST_PARAMETERS = 100;
/** Characters of a parameter. */
const LONGEST_PARAMETER = 500;
/** Between two messages with metrics. */
const INTERVAL_MS = 5000;
/** How long one answer may take. */
const PATIENCE_MS = 15_000;
/** The tag by which a run that goes on is found again. */
const IDENTITY = `${PROGRAM}.run`;

/** What a server is told of a run when it begins. */
export interface TrackedRun {
  name: string;
  /** What no other run has. */
  identity: string;
  /** Milliseconds since 1970. */
  started: number;
  options: Readonly<Record<string, unknown>>;
}

/** @throws UserError if a server cannot be reached, or is none of MLflow */
export async function checkServer(address: string): Promise<void> {
  await experimentOf(callerOf(address));
}

/** A run on a server of MLflow. */
export interface Tracking {
  /** Where people look at it. */
  readonly page: string;
  /** Sends what is logged of a step, beside training; steps that are there already are left out. */
  add(row: LogRow): void;
  /** Sends what is left and how the run ended; says how many steps did not arrive. */
  end(status: 'FINISHED' | 'KILLED' | 'FAILED'): Promise<void>;
}

/**
 * Begins a run on a server, in the experiment of this program's name, or goes on with the one of that identity.
 * @param address http://HOST:PORT
 * @param warn hears what does not stop training
 * @throws UserError if the server cannot be reached, or is none of MLflow
 */
export async function trackRun(address: string, run: TrackedRun, warn: (message: string) => void): Promise<Tracking> {
  const call = callerOf(address);
  const experiment = await experimentOf(call);
  const found = await searchRun(call, experiment, run.identity);
  const id = found?.info.run_id ?? (await createRun(call, experiment, run));
  const sentBefore = Math.max(0, ...(found?.data.metrics ?? []).map(({ step }) => step));
  if (found) await call('POST', 'runs/update', { run_id: id, status: 'RUNNING' }, z.unknown());

  let waiting: Metric[] = [];
  let sending: Promise<void> = Promise.resolve();
  let isSending = false;
  let lastSent = Number.NEGATIVE_INFINITY;
  let hasFailed = false;

  async function sendAll(): Promise<void> {
    while (waiting.length > 0) {
      const metrics = waiting.slice(0, MOST_METRICS);
      await call('POST', 'runs/log-batch', { run_id: id, metrics }, z.unknown());
      waiting = waiting.slice(metrics.length);
    }
  }

  function send(): void {
    if (isSending) return;
    isSending = true;
    lastSent = performance.now();
    sending = sendAll()
      .catch((error: unknown) => {
        if (!hasFailed) warn(`${networkReason(error)}; what was logged is sent later`);
        hasFailed = true;
      })
      .finally(() => {
        isSending = false;
      });
  }

  return {
    page: new URL(`/#/experiments/${experiment}/runs/${id}`, address).href,
    add(row) {
      if (row.step <= sentBefore) return;
      const timestamp = Date.now();
      const metrics = scalarsOf(row).map(([key, value]) => ({ key, value, timestamp, step: row.step }));
      waiting.push(...metrics);
      if (performance.now() - lastSent > INTERVAL_MS) send();
    },
    async end(status) {
      await sending;
      try {
        await sendAll();
        await call('POST', 'runs/update', { run_id: id, status, end_time: Date.now() }, z.unknown());
      } catch (error) {
        const steps = new Set(waiting.map(({ step }) => step)).size;
        const missing = steps > 0 ? `; ${steps} steps are in log.jsonl alone` : '';
        warn(`${networkReason(error)}${missing}`);
      }
    },
  };
}

type Metric = { key: string; value: number; timestamp: number; step: number };
type Call = <T>(method: 'GET' | 'POST', path: string, content: object, answer: z.ZodType<T>) => Promise<T>;

const experimentSchema = z.object({ experiment: z.object({ experiment_id: z.string() }) });
const runSchema = z.object({
  info: z.object({ run_id: z.string() }),
  data: z.object({ metrics: z.array(z.object({ step: z.coerce.number() })).default([]) }),
});

async function experimentOf(call: Call): Promise<string> {
  const name = { experiment_name: PROGRAM };
  const found = await call('GET', 'experiments/get-by-name', name, experimentSchema).catch((error: unknown) => {
    if (error instanceof Refusal && error.status === 404) return null;
    throw error;
  });
  if (found) return found.experiment.experiment_id;
  const made = await call('POST', 'experiments/create', { name: PROGRAM }, z.object({ experiment_id: z.string() }));
  return made.experiment_id;
}

async function searchRun(call: Call, experiment: string, identity: string) {
  const content = { experiment_ids: [experiment], filter: `tags.\`${IDENTITY}\` = '${identity}'`, max_results: 1 };
  const { runs } = await call('POST', 'runs/search', content, z.object({ runs: z.array(runSchema).default([]) }));
  return runs[0];
}

async function createRun(call: Call, experiment: string, { name, identity, started, options }: TrackedRun) {
  const tags = [{ key: IDENTITY, value: identity }];
  const content = { experiment_id: experiment, run_name: name, start_time: started, tags };
  const { run } = await call('POST', 'runs/create', content, z.object({ run: runSchema.pick({ info: true }) }));
  const { run_id } = run.info;
  const all = Object.entries(options).flatMap(([key, value]) => {
    return value === null ? [] : [{ key, value: String(value).slice(0, LONGEST_PARAMETER) }];
  });
  for (let at = 0; at < all.length; at += MOST_PARAMETERS) {
    const params = all.slice(at, at + MOST_PARAMETERS);
    await call('POST', 'runs/log-batch', { run_id, params }, z.unknown());
  }
  return run_id;
}

/** An answer that says no. */
class Refusal extends UserError {
  constructor(
    problem: string,
    readonly status: number,
  ) {
    super(problem, { expected: 'a server of MLflow 2 or 3', remedy: 'check --mlflow, or leave it out' });
  }
}

/** Asks a server's REST interface, and once more where it does not answer. */
function callerOf(address: string): Call {
  const place = parseAddress(address);
  const ask = async (method: string, path: string, content: object) => {
    const url = new URL(`${place.replace(/\/$/, '')}/api/2.0/mlflow/${path}`);
    if (method === 'GET') url.search = new URLSearchParams(Object.entries(content)).toString();
    const headers = { 'content-type': 'application/json', ...authorization() };
    const body = method === 'GET' ? null : JSON.stringify(content);
    return fetch(url, { method, headers, body, signal: AbortSignal.timeout(PATIENCE_MS) });
  };
  return async (method, path, content, answer) => {
    const response = await ask(method, path, content)
      .catch(() => wait(500).then(() => ask(method, path, content)))
      .catch((error: unknown) => {
        throw new UserError(`the MLflow server ${place} cannot be reached: ${networkReason(error)}`, {
          expected: 'a server that runs: mlflow server --port 5000',
          remedy: 'start it, check --mlflow, or leave it out',
        });
      });
    const said: unknown = await response.json().catch(() => null);
    if (!response.ok) {
      const { message = '' } = z.object({ message: z.string() }).safeParse(said).data ?? {};
      const problem = `the MLflow server ${place} answers ${response.status} ${message.slice(0, 200)}`;
      throw new Refusal(problem.trim(), response.status);
    }
    const parsed = answer.safeParse(said);
    if (!parsed.success) throw new Refusal(`${place} does not answer as MLflow does`, response.status);
    return parsed.data;
  };
}

/** By the variables that MLflow's own client reads. */
function authorization(): Record<string, string> {
  const { MLFLOW_TRACKING_TOKEN: token, MLFLOW_TRACKING_USERNAME: user, MLFLOW_TRACKING_PASSWORD: word } = process.env;
  if (token) return { authorization: `Bearer ${token}` };
  return user ? { authorization: `Basic ${Buffer.from(`${user}:${word ?? ''}`).toString('base64')}` } : {};
}

function parseAddress(address: string): string {
  const url = attempt(() => new URL(address), null);
  const isServer = url?.protocol === 'http:' || url?.protocol === 'https:';
  if (isServer && url.username === '' && url.password === '') return url.href;
  throw new UserError(`--mlflow cannot be ${isServer ? 'an address with a password' : address}`, {
    expected: 'the address of a server, http://HOST:PORT',
    remedy: isServer
      ? 'set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead: options are written into config.yaml'
      : 'start one with mlflow server --port 5000, then use --mlflow http://localhost:5000',
  });
}
