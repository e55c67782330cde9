import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SMALLEST_OF } from '../helpers/command.js';
import { launchers } from '../helpers/launchers.js';
import { crowd, crowdOfCommands } from './crowds.js';
import { differencesByClock } from './differences.js';
import { type KillReport, killAndResume } from './harness.js';

// `npm run test:faults -- [KILLS] [SEED] [ENGINE]`: kills real runs, 100 times by default, and says what came of it.
// `npm run test:faults -- probe [KILLS] [SEED] [ENGINE]`: the same with an online probe every few steps, and, for as many
// kills more, with one when the clock says so.
// `npm run test:faults -- crowds [ROUNDS] [PROCESSES] [COMMANDS]`: lets 32 processes work in one new folder, 100 times, then
// so many commands make the same run.
// `npm run test:faults -- ranks [KILLS] [SEED] [RANKS]`: kills a random process of runs in ranks, with each MPI that is there.
const args = process.argv.slice(2);
const folder = await mkdtemp(join(tmpdir(), 'ijepa-faults-'));
const started = performance.now();
const say = (text: string) => process.stdout.write(`${text}\n`);
const seconds = () => ((performance.now() - started) / 1000).toFixed(0);
try {
  const [kind, ...rest] = args;
  const kinds: Record<string, typeof runKills> = { crowds: runCrowds, ranks: runRanks, probe: runProbed };
  const run = kinds[kind ?? ''];
  const faults = await (run ? run(rest) : runKills(args));
  process.exitCode = faults.length === 0 ? 0 : 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function runKills([kills = '100', seed = '0', engine = 'wasm']: readonly string[]): Promise<string[]> {
  const report = await killAndResume(folder, { kills: Number(kills), seed: Number(seed), engine }, say);
  return tell(report, `engine ${engine}, seed ${seed}`);
}

async function runProbed([kills = '20', seed = '0', engine = 'wasm']: readonly string[]): Promise<string[]> {
  const faults: string[] = [];
  // A rate at which the encoder changes so much that probes tell different things, and the best step is not the last one.
  const changing = [...SMALLEST_OF.mae, ...'--learning-rate 0.1 --warmup-epochs 0'.split(' ')];
  const often = [...changing, ...'--probe shapes:180 --probe-images 180 --probe-every-steps 3'.split(' ')];
  const byClock = [...changing, ...'--probe shapes:45 --probe-images 45 --epochs 100'.split(' ')];
  const kinds = {
    'probed every 3 steps': { of: often },
    'probed by the clock': { of: byClock, compare: differencesByClock },
  };
  for (const [how, options] of Object.entries(kinds)) {
    const place = await mkdtemp(join(folder, 'probed-'));
    const report = await killAndResume(place, { kills: Number(kills), seed: Number(seed), engine, ...options }, say);
    faults.push(...tell(report, `${how}, engine ${engine}, seed ${seed}`));
  }
  return faults;
}

async function runRanks([kills = '20', seed = '0', ranks = '2']: readonly string[]): Promise<string[]> {
  const faults: string[] = [];
  if (launchers().length === 0) say('there is no launcher of MPI');
  for (const launcher of launchers()) {
    const place = await mkdtemp(join(folder, 'ranks-'));
    const options = { kills: Number(kills), seed: Number(seed), launcher, count: Number(ranks) };
    const report = await killAndResume(place, options, say);
    faults.push(...tell(report, `${ranks} ranks, ${launcher.name}, seed ${seed}`));
  }
  return faults;
}

function tell({ kills, runs, resumes, hits, faults }: KillReport, of: string): string[] {
  for (const fault of faults) say(`FAULT: ${fault}`);
  const sorted = Object.entries(hits).sort(([, a], [, b]) => b - a);
  say(`hits: ${sorted.map(([hit, count]) => `${count} ${hit}`).join(', ')}`);
  say(
    `${kills} kills of ${runs} runs (${of}), ${resumes} resumes, ${seconds()} s: ` +
      (faults.length === 0 ? 'every run ended in the same bytes' : `${faults.length} faults`),
  );
  return faults;
}

async function runCrowds([rounds = '100', members = '32', commands = members]: readonly string[]): Promise<string[]> {
  const report = await crowd(folder, { rounds: Number(rounds), members: Number(members), seed: 0 });
  const faults = [...report.faults, ...(await crowdOfCommands(folder, Number(commands)))];
  for (const fault of faults) say(`FAULT: ${fault}`);
  say(
    `${rounds} times ${members} processes in one new folder (${report.kills} of them killed), then ${commands} commands, ${seconds()} s: ` +
      (faults.length === 0 ? 'nothing was lost' : `${faults.length} faults`),
  );
  return faults;
}
