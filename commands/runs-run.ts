import { existsSync } from 'node:fs';
import { findRuns, runsText } from '../core/run/runs.js';
import { configuredPlugins, methodsOf } from './plugins.js';

/** Prints the runs in a folder. */
export async function listRuns(given: string | null, json: boolean): Promise<void> {
  const folder = given ?? (existsSync('runs') ? 'runs' : '.');
  const methods = methodsOf(await configuredPlugins());
  const runs = await findRuns(folder, methods, (reason) => process.stderr.write(`left out: ${reason}\n`));
  if (json) process.stdout.write(`${JSON.stringify({ folder, runs })}\n`);
  else if (runs.length > 0) process.stdout.write(`${runsText(runs)}\n`);
  else process.stderr.write(`there are no runs in ${folder === '.' ? 'the current folder' : folder}\n`);
}
