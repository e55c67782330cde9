import { describeOptions } from '../core/config/record.js';
import { automaticValues } from '../core/config/settings.js';
import type { ConfigOptions } from './options/runs.js';
import { optionsTable } from './options-table.js';
import { checkSelected } from './plugins.js';
import type { ResolvedRun } from './run-sources.js';

/** Prints the options of a run with their origins, or the tables of all options. */
export async function showConfig(resolved: ResolvedRun, { json, table }: ConfigOptions): Promise<void> {
  if (table) {
    process.stdout.write(optionsTable());
    return;
  }
  await checkSelected(resolved);
  const { method, options, origins } = resolved;
  const automatic = { ...automaticValues(options), ...method.automatic?.(options) };
  process.stdout.write(`${json ? JSON.stringify({ options, origins }) : describeOptions(resolved, automatic)}\n`);
}
