import type { Command } from 'commander';
import type { DataSet } from '../contract/data-sets.js';
import type { Monitor } from '../contract/monitors.js';
import type { PredictionLoss, Regularizer } from '../contract/objectives.js';
import type { MethodDefinition } from '../methods/method.js';

/**
 * What a plugin may bring to the program; `contract/` says it piece by piece. A plugin is a module whose default export is
 * a `Plugin`; the built-in ones in `plugins/` use nothing else of the program but what this file exports. `plugins: [...]` in a configuration file names others:
 * packages, or paths of modules.
 */
export interface Plugin {
  /** Name of the plugin, in lower case. */
  name: string;
  /** What it brings, in one line for people. */
  summary: string;
  dataSets?: readonly DataSet[];
  /** What can be trained for: `--loss` and `--regularizer` choose by name. */
  losses?: readonly PredictionLoss[];
  regularizers?: readonly Regularizer[];
  /** Self-supervised methods: `--method` chooses by name. */
  methods?: readonly MethodDefinition[];
  /** What can look at a run: the option `monitors` names them. */
  monitors?: readonly Monitor[];
  /** Subcommands of its own, made with `create`; a built-in one of the same name goes before. */
  commands?: (create: (name: string) => Command) => readonly Command[];
}
