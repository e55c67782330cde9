import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { killAndResume } from './harness.js';

// `npm run test:faults [KILLS] [SEED] [ENGINE]`: kills real runs, 100 times by default, and says what came of it.
const [kills = '100', seed = '0', engine = 'wasm'] = process.argv.slice(2);
const folder = await mkdtemp(join(tmpdir(), 'ijepa-faults-'));
const started = performance.now();
const said = (text: string) => process.stdout.write(`${text}\n`);
try {
  const report = await killAndResume(folder, { kills: Number(kills), seed: Number(seed), engine }, said);
  for (const fault of report.faults) said(`FAULT: ${fault}`);
  const hits = Object.entries(report.hits).sort(([, a], [, b]) => b - a);
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  said(`hits: ${hits.map(([hit, count]) => `${count} ${hit}`).join(', ')}`);
  said(
    `${report.kills} kills of ${report.runs} runs (engine ${engine}, seed ${seed}), ${report.resumes} resumes, ${seconds} s: ` +
      (report.faults.length === 0 ? 'every run ended in the same bytes' : `${report.faults.length} faults`),
  );
  process.exitCode = report.faults.length === 0 ? 0 : 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
