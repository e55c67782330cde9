import { count } from '../core/base/console.js';
import { type CheckResult, checkPlugin } from '../core/check/plugin.js';
import { loadPlugin } from '../core/plugins/load.js';
import { BUILT_IN_PLUGINS } from '../plugins/index.js';

/**
 * Holds a plugin against the contract and says what is wrong with it.
 * @returns the exit code: 2 where something is
 */
export async function runPluginCheck(name: string, data: readonly string[], json: boolean): Promise<number> {
  const plugin = await loadPlugin(name);
  const say = (line: string) => {
    if (!json) process.stdout.write(`${line}\n`);
  };
  say(`${plugin.name}: ${plugin.summary}`);
  const results: CheckResult[] = [];
  for await (const result of checkPlugin(plugin, data, BUILT_IN_PLUGINS)) {
    results.push(result);
    const where = result.engine === null ? '' : ` on ${result.engine}`;
    const { length } = result.faults;
    say(`  ${result.subject}${where}: ${length === 0 ? 'keeps to the contract' : count(length, 'fault')}`);
    for (const fault of result.faults) say(`    ${fault}`);
  }
  if (results.length === 0)
    say('  brings nothing that could be checked without data: name a data set, as NAME:ARGUMENT');
  if (json) process.stdout.write(`${JSON.stringify({ plugin: plugin.name, summary: plugin.summary, results })}\n`);
  return results.every(({ faults }) => faults.length === 0) ? 0 : 2;
}
