/**
 * Holds a plugin against the contract: `node dist/test/check-plugin.js PLUGIN [DATASET:ARGUMENT ...]`. PLUGIN is a package
 * or the path of a module; each of its data sets that is named is opened, labelled and decoded. Ends with 1 where
 * something is wrong.
 */
import { stat } from 'node:fs/promises';
import { UserError, unknownName } from '../core/errors.js';
import { findFaults } from '../core/plugins/conformance.js';
import { loadPlugin } from '../core/plugins/load.js';

async function check(name: string, trials: readonly string[]): Promise<boolean> {
  const plugin = await loadPlugin(name);
  const dataSets = plugin.dataSets ?? [];
  process.stdout.write(`${plugin.name}: ${plugin.summary}\n`);
  process.stdout.write(`  data sets: ${dataSets.map((dataSet) => dataSet.name).join(', ') || 'none'}\n`);
  let isRight = true;
  for (const trial of trials) {
    const [word = '', ...rest] = trial.split(':');
    const dataSet = dataSets.find((candidate) => candidate.name === word);
    if (!dataSet) {
      throw unknownName(
        'data set',
        word,
        dataSets.map((candidate) => candidate.name),
        name,
      );
    }
    const argument = rest.length > 0 ? rest.join(':') : null;
    const folder = argument !== null && (await isFolder(argument)) ? argument : undefined;
    const faults = await findFaults(dataSet, { argument, ...(folder !== undefined && { folder }) });
    process.stdout.write(`  ${trial}: ${faults.length === 0 ? 'keeps to the contract' : `${faults.length} faults`}\n`);
    for (const fault of faults) process.stdout.write(`    ${fault}\n`);
    isRight &&= faults.length === 0;
  }
  return isRight;
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

const [name, ...trials] = process.argv.slice(2);
try {
  if (name === undefined) throw new UserError('no plugin was named', { expected: 'PLUGIN [DATASET:ARGUMENT ...]' });
  process.exitCode = (await check(name, trials)) ? 0 : 1;
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  process.stderr.write(`${error.report}\n`);
  process.exitCode = 2;
}
