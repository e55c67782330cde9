import { type ChildProcess, fork } from 'node:child_process';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { RandomStream } from '../../core/base/random.js';
import { readResults } from '../../core/eval/results.js';
import { type Ended, ijepa, ijepaHere, SMALLEST } from '../helpers/command.js';
import { ROOT } from '../helpers/paths.js';
import { COLUMNS, type CrowdAnswer, type CrowdTask, sharedFeatures } from './crowd-member.js';

/** What came of a number of rounds. */
export interface CrowdReport {
  rounds: number;
  kills: number;
  /** What was lost, or not as it should be; empty where all is well. */
  faults: string[];
}

const MEMBER = join(ROOT, 'dist', 'test', 'faults', 'crowd-member.js');
/** Milliseconds from the word to the moment at which all start. */
const START = 30;
/** In every such round one process is killed. */
const KILLED_EVERY = 4;

/**
 * Lets processes do at the same moment, in one new folder, what commands do there: make a run, add results, keep features,
 * write a file. Now and then one of them is killed with SIGKILL. Holds that one gets the run and the others one message,
 * and that nothing of those that were not killed is lost.
 */
export async function crowd(
  folder: string,
  { rounds, members, seed }: { rounds: number; members: number; seed: number },
): Promise<CrowdReport> {
  const report: CrowdReport = { rounds, kills: 0, faults: [] };
  const stream = new RandomStream(seed, 'crowd');
  let crowd = await Promise.all(Array.from({ length: members }, startMember));
  for (let round = 1; round <= rounds; round++) {
    const place = join(folder, `round-${round}`);
    await mkdir(place, { recursive: true });
    const at = Date.now() + START;
    const answers = crowd.map((child, number) => answerOf(child, { folder: place, number, members, at }));
    if (round % KILLED_EVERY === 0) {
      const victim = crowd[stream.integer(0, members - 1)];
      setTimeout(() => victim?.kill('SIGKILL'), START + stream.integer(0, 60));
    }
    const said = await Promise.all(answers);
    const killed = said.filter((answer) => answer === null).length;
    report.kills += killed;
    report.faults.push(...(await faultsOf(place, said)).map((fault) => `round ${round}: ${fault}`));
    crowd = await Promise.all(crowd.map((child, number) => (said[number] === null ? startMember() : child)));
    await rm(place, { recursive: true });
  }
  for (const child of crowd) child.kill('SIGKILL');
  return report;
}

/** Starts the same run in one new folder many times at once, by the command itself. @returns what was wrong */
export async function crowdOfCommands(folder: string, members: number): Promise<string[]> {
  const run = join(folder, 'new', 'run');
  const start = () => ijepa(['pretrain', 'shapes:8', ...SMALLEST.slice(1), '--epochs', '1', '--out', run]);
  const ended = await Promise.all(Array.from({ length: members }, start));
  const isRefused = ({ code, stderr }: Ended) =>
    code === 2 &&
    /^ijepa: (the run is in use|.* already holds a run)/.test(stderr) &&
    stderr.split('ijepa:').length === 2;
  const done = ended.filter(({ code }) => code === 0).length;
  const odd = ended.filter((one) => one.code !== 0 && !isRefused(one)).map(({ code, stderr }) => `${code}: ${stderr}`);
  const again = await ijepaHere(['pretrain', '--out', run, '--resume']);
  return [
    ...(done === 1 ? [] : [`${done} of ${members} commands made the run`]),
    ...odd,
    ...(again.code === 0 ? [] : [`the run does not go on: ${again.stderr}`]),
  ];
}

function startMember(): Promise<ChildProcess> {
  const child = fork(MEMBER, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  return new Promise((resolve, reject) => {
    child.once('message', () => resolve(child));
    child.once('exit', (code) => reject(new Error(`a process of the crowd ended with code ${code}`)));
  });
}

/** What a process answers; null where it was killed. */
function answerOf(child: ChildProcess, task: CrowdTask): Promise<CrowdAnswer | null> {
  child.removeAllListeners();
  return new Promise((resolve) => {
    child.once('message', (answer: CrowdAnswer) => resolve(answer));
    child.once('exit', () => resolve(null));
    if (child.connected) child.send(task, () => {});
    else resolve(null);
  });
}

async function faultsOf(folder: string, said: readonly (CrowdAnswer | null)[]): Promise<string[]> {
  const alive = said.filter((answer) => answer !== null);
  const faults = alive.flatMap(({ fault }) => fault ?? []);
  const taken = alive.filter((answer) => answer.taken).length;
  if (taken > 1 || (taken === 0 && alive.length === said.length)) faults.push(`${taken} processes have the run`);
  for (const { refusal } of alive) {
    if (refusal && !/is in use|already holds a run/.test(refusal)) faults.push(refusal);
  }
  const results = (await readResults(join(folder, 'results.json'))).map(({ dataSet }) => dataSet);
  const rows = new Set<number>();
  const cache = await sharedFeatures(folder, said.length);
  for await (const piece of cache.pieces(said.length, COLUMNS)) for (const row of piece.rows) rows.add(row);
  said.forEach((answer, number) => {
    if (answer && !results.includes(`set-${number}`)) faults.push(`the result of process ${number} is lost`);
    if (answer && !rows.has(number)) faults.push(`the features of process ${number} are lost`);
  });
  const chart = await readFile(join(folder, 'chart'), 'utf8');
  if (!/^(\d+)\1{9999}$/.test(chart)) faults.push('the file that all write is not whole');
  return faults;
}
