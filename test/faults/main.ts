import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { launchers } from '../helpers/launchers.js';
import { crowd, crowdOfCommands } from './crowds.js';
import { type KillReport, killAndResume } from './harness.js';

// `npm run test:faults -- [KILLS] [SEED] [ENGINE]`: kills real runs, 100 times by default, and says what came of it.
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
  const faults = await (kind === 'crowds' ? runCrowds(rest) : kind === 'ranks' ? runRanks(rest) : runKills(args));
  process.exitCode = faults.length === 0 ? 0 : 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function runKills([kills = '100', seed = '0', engine = 'wasm']: readonly string[]): Promise<string[]> {
  const report = await killAndResume(folder, { kills: Number(kills), seed: Number(seed), engine }, say);
  return tell(report, `engine ${engine}, seed ${seed}`);
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
