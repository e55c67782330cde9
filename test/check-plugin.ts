/**
 * Holds a plugin against the contract: `node dist/test/check-plugin.js PLUGIN [DATASET:ARGUMENT ...]`. PLUGIN is a package
 * or the path of a module; each of its data sets that is named is opened, labelled and decoded, its losses and
 * regularizers are computed on every engine that is present, its monitors look at random features. Ends with 1 where
 * something is wrong.
 */
import { stat } from 'node:fs/promises';
import { count } from '../core/base/console.js';
import { UserError, unknownName } from '../core/base/errors.js';
import { ENGINE_NAMES } from '../core/engine/contract.js';
import { tryEngine } from '../core/engine/start.js';
import { broughtBy, labelOf } from '../core/plugins/brought.js';
import { findFaults } from '../core/plugins/conformance.js';
import { findMonitorFaults } from '../core/plugins/conformance-monitors.js';
import { findTermFaults } from '../core/plugins/conformance-objectives.js';
import { loadPlugin } from '../core/plugins/load.js';

async function check(name: string, trials: readonly string[]): Promise<boolean> {
  const plugin = await loadPlugin(name);
  const dataSets = plugin.dataSets ?? [];
  process.stdout.write(`${plugin.name}: ${plugin.summary}\n`);
  process.stdout.write(`  data sets: ${dataSets.map((dataSet) => dataSet.name).join(', ') || 'none'}\n`);
  let isRight = true;
  const tell = (what: string, faults: readonly string[]) => {
    process.stdout.write(
      `  ${what}: ${faults.length === 0 ? 'keeps to the contract' : count(faults.length, 'fault')}\n`,
    );
    for (const fault of faults) process.stdout.write(`    ${fault}\n`);
    isRight &&= faults.length === 0;
  };
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
    tell(trial, faults);
  }
  const brought = broughtBy(plugin);
  const terms = brought.filter((one) => one.kind === 'loss' || one.kind === 'regularizer');
  for (const name of terms.length > 0 ? ENGINE_NAMES : []) {
    const status = await tryEngine(name);
    if (!status.present) continue;
    for (const term of terms) tell(`${labelOf(term)} on ${name}`, await findTermFaults(status.engine, term));
  }
  for (const one of brought) {
    if (one.kind === 'monitor') tell(labelOf(one), await findMonitorFaults(one.item));
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
