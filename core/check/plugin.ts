import { stat } from 'node:fs/promises';
import { unknownName } from '../base/errors.js';
import { labelOf } from '../contract/extension.js';
import { splitName } from '../data/open.js';
import { ENGINE_NAMES, type Engine } from '../engine/contract.js';
import { tryEngine } from '../engine/start.js';
import { type Extension, extensionsOf, type Plugin } from '../plugins/plugin.js';
import { findDataSetFaults } from './data-set.js';
import { findMethodFaults } from './method.js';
import { findMonitorFaults } from './monitor.js';
import { findObjectiveFaults } from './objective.js';
import { findTokenizerFaults } from './tokenizer.js';

/** What was held against the contract of plugins, and what is wrong with it. */
export interface CheckResult {
  /** 'loss log-cosh', or what was opened: 'photos:folder'. */
  readonly subject: string;
  /** Where it was computed; null for what no engine computes. */
  readonly engine: string | null;
  /** One line each; none where it keeps to the contract. */
  readonly faults: readonly string[];
}

/**
 * Holds what a plugin brings against the contract: data sets on the data that are named, losses, regularizers,
 * tokenizers and methods on every engine that is present, monitors on random features.
 * @param data data sets of the plugin with what `open` takes: 'photos:folder'
 * @param others plugins that may bring what options of a method name
 * @throws UserError if the plugin has no such data set
 */
export async function* checkPlugin(
  plugin: Plugin,
  data: readonly string[],
  others: readonly Plugin[],
): AsyncGenerator<CheckResult> {
  for (const word of data) yield { subject: word, engine: null, faults: await dataFaults(plugin, word) };
  const extensions = extensionsOf(plugin);
  for (const monitor of extensions.filter((extension) => extension.kind === 'monitor'))
    yield { subject: labelOf(monitor), engine: null, faults: await findMonitorFaults(monitor.item) };
  const computed = extensions.filter((extension) => extension.kind !== 'monitor' && extension.kind !== 'data set');
  for (const name of computed.length > 0 ? ENGINE_NAMES : []) {
    const status = await tryEngine(name);
    if (!status.present) continue;
    for (const extension of computed) {
      const faults = await findFaultsOn(status.engine, extension, [...others, plugin]);
      yield { subject: labelOf(extension), engine: name, faults };
    }
  }
}

/** What is wrong with something that an engine computes, on the one that is active. */
export async function findFaultsOn(
  engine: Engine,
  extension: Extension<'method' | 'loss' | 'regularizer' | 'tokenizer'>,
  plugins: readonly Plugin[],
): Promise<readonly string[]> {
  if (extension.kind === 'method') return findMethodFaults(engine, extension.item, plugins);
  if (extension.kind === 'tokenizer') return findTokenizerFaults(extension);
  return findObjectiveFaults(extension);
}

async function dataFaults({ name: plugin, dataSets = [] }: Plugin, word: string): Promise<string[]> {
  const [name, argument] = splitName(word);
  const dataSet = dataSets.find((candidate) => candidate.name === name);
  const names = dataSets.map((candidate) => candidate.name);
  if (!dataSet) throw unknownName('data set', name, names, `the plugin ${plugin}`);
  const isFolder = argument !== null && (await stat(argument).catch(() => null))?.isDirectory();
  return findDataSetFaults(dataSet, { argument, ...(isFolder && { folder: argument }) });
}
