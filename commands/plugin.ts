import { Command } from 'commander';

/** `ijepa plugin check PLUGIN [DATASET:ARGUMENT ...]` */
export function pluginCommand(finish: (exitCode: number) => void): Command {
  const command = new Command('plugin').summary('hold a plugin against its contract');
  command
    .command('check')
    .summary('find what a plugin does wrong')
    .description(
      'Hold a plugin against the contract of plugins, for those who write one: its definition; methods, losses and ' +
        'regularizers on every engine that is there (finite differences, batches in parts, repeated draws); monitors; and ' +
        'those of its data sets that are named. Ends with exit code 2 where something is wrong.',
    )
    .argument('<plugin>', 'a package, or the path of a module')
    .argument('[data...]', 'data sets of the plugin with what follows their names: photos:folder')
    .option('--json', 'print one JSON document')
    .action(async (name: string, data: string[], { json = false }: { json?: boolean }) => {
      const { runPluginCheck } = await import('./plugin-run.js');
      finish(await runPluginCheck(name, data, json));
    });
  return command;
}
