import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crowd, crowdOfCommands } from './crowds.js';
import { killAndResume } from './harness.js';

// `npm run test:faults -- [KILLS] [SEED] [ENGINE]`: kills real runs, 100 times by default, and says what came of it.
// `npm run test:faults -- crowds [ROUNDS] [PROCESSES] [COMMANDS]`: lets 32 processes work in one new folder, 100 times, then
// so many commands make the same run.
const args = process.argv.slice(2);
const folder = await mkdtemp(join(tmpdir(), 'ijepa-faults-'));
const started = performance.now();
const say = (text: string) => process.stdout.write(`${text}\n`);
const seconds = () => ((performance.now() - started) / 1000).toFixed(0);
try {
  const faults = args[0] === 'crowds' ? await runCrowds(args.slice(1)) : await runKills(args);
  process.exitCode = faults.length === 0 ? 0 : 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function runKills([kills = '100', seed = '0', engine = 'wasm']: readonly string[]): Promise<string[]> {
  const report = await killAndResume(folder, { kills: Number(kills), seed: Number(seed), engine }, say);
  for (const fault of report.faults) say(`FAULT: ${fault}`);
  const hits = Object.entries(report.hits).sort(([, a], [, b]) => b - a);
  say(`hits: ${hits.map(([hit, count]) => `${count} ${hit}`).join(', ')}`);
  say(
    `${report.kills} kills of ${report.runs} runs (engine ${engine}, seed ${seed}), ${report.resumes} resumes, ${seconds()} s: ` +
      (report.faults.length === 0 ? 'every run ended in the same bytes' : `${report.faults.length} faults`),
  );
  return report.faults;
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
