import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { writeFileAtomically } from '../core/base/atomic.js';
import { count, createConsole, formatBytes } from '../core/base/console.js';
import { UserError } from '../core/base/errors.js';
import { checkOutputFile } from '../core/base/folders.js';
import type { RunFacts } from '../core/report/facts.js';
import { reportPage } from '../core/report/page.js';
import { openRuns, reportFacts } from '../core/run/report-facts.js';
import { runFolder } from '../core/run/run-folder.js';
import type { ReportOptions } from './options/report.js';
import { methodsOf, pluginsWith } from './plugins.js';
import { networkOnPage, picturesOfRuns } from './run-pictures.js';

/** Writes a page about runs. */
export async function runReport(asked: ReportOptions): Promise<void> {
  const { out, force, json } = asked;
  const console = createConsole(json);
  checkOutputFile(out, '--out', force, 'report.html');
  if (!existsSync(dirname(resolve(out)))) {
    throw new UserError(`the folder ${dirname(resolve(out))} does not exist`, {
      expected: 'a file in a folder that is there',
      remedy: 'make the folder, or choose another --out',
    });
  }
  const isNetwork = (word: string) => asked.data.length > 0 && !existsSync(runFolder(word).config);
  const networks = asked.runs.filter(isNetwork);
  const runs = await openRuns(
    asked.runs.filter((word) => !isNetwork(word)),
    async (names) => methodsOf(await pluginsWith(names)),
  );
  for (const { folder, log } of runs) {
    log.readOn();
    if (log.last !== null) continue;
    throw new UserError(`the run in ${folder.path} has logged no step yet`, {
      expected: 'a run with a step in its log.jsonl',
      remedy: 'wait for its first step, or resume it',
    });
  }
  const pictures = await picturesOfRuns(runs, asked);
  const ofRuns = await reportFacts(runs, asked, pictures, (reason) => console.warn(`left out: ${reason}`));
  const alone: RunFacts[] = [];
  for (const word of networks) alone.push(await networkOnPage(word, asked, 1 / asked.runs.length));
  const facts = { ...ofRuns, runs: [...ofRuns.runs, ...alone] };
  const page = reportPage(facts);
  await writeFileAtomically(out, page);
  const bytes = Buffer.byteLength(page);
  for (const { name, picturesNote } of facts.runs) if (picturesNote) console.warn(`note     ${name}: ${picturesNote}`);
  const told = Object.entries({ run: runs.length, network: networks.length }).filter(([, there]) => there > 0);
  const what = told.map(([noun, there]) => count(there, noun)).join(' and ');
  console.line(`look at  ${out}  ${what}, ${formatBytes(bytes)}; opens in any browser`);
  if (!json) return;
  const said = facts.runs.map(({ name, standing, pictures: shown }, at) => ({
    name,
    path: runs[at]?.folder.path ?? null,
    state: standing?.state ?? null,
    step: standing?.step ?? null,
    pictures: shown?.pictures.length ?? 0,
  }));
  process.stdout.write(`${JSON.stringify({ out, bytes, runs: said, evaluations: facts.evaluations.length })}\n`);
}
