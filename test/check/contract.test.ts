import test from 'ava';
import { findMonitorFaults } from '../../core/check/monitor.js';
import { findFaultsOn } from '../../core/check/plugin.js';
import { labelOf } from '../../core/contract/extension.js';
import { METHODS } from '../../core/methods/registry.js';
import { extensionsOf } from '../../core/plugins/plugin.js';
import template from '../../plugins/_template/index.js';
import { BUILT_IN_PLUGINS } from '../../plugins/index.js';
import { findEngines, firstOf, testOnEngines } from '../helpers/engines.js';

const engines = await findEngines();
/** The program's own methods as a plugin would bring them. */
const OWN = { name: 'own', summary: 'methods of the program', methods: METHODS };

for (const extension of [...BUILT_IN_PLUGINS, template, OWN].flatMap(extensionsOf)) {
  const title = `the ${labelOf(extension)} keeps to the contract of plugins`;
  if (extension.kind === 'data set') continue; // test/plugins opens them on data of theirs
  if (extension.kind === 'monitor') {
    test(title, async (t) => t.deepEqual(await findMonitorFaults(extension.item), []));
    continue;
  }
  // Golden values hold methods on every engine.
  const chosen = extension.kind === 'method' ? firstOf(engines) : engines;
  testOnEngines(test, chosen, title, async (t, engine) => {
    t.deepEqual(await findFaultsOn(engine, extension, BUILT_IN_PLUGINS), []);
  });
}
