import { Command } from 'commander';
import { addOptionFlags, type Flags, resolveFlags } from './options.js';

type ConfigFlags = Flags & { json?: boolean; table?: boolean };

/** `ijepa config` */
export function configCommand(): Command {
  const command = new Command('config')
    .summary('show every option and where its value comes from')
    .description(
      'Print the configuration that pretrain would use, as YAML that --config reads, with the origin of each value.',
    )
    .argument('[data...]', 'as for pretrain')
    .optionsGroup('Output:')
    .option('--json', 'print values and origins as one JSON document')
    .option('--table', 'print the tables of all options and presets as Markdown');
  return addOptionFlags(command).action(async (data: string[], flags: ConfigFlags) => {
    if (flags.table) {
      const { optionsTable } = await import('./options-table.js');
      process.stdout.write(optionsTable());
      return;
    }
    const resolved = await resolveFlags(flags, data);
    const { checkChosen } = await import('./plugins.js');
    await checkChosen(resolved);
    const { describeOptions } = await import('../core/config/record.js');
    process.stdout.write(`${flags.json ? JSON.stringify(resolved) : describeOptions(resolved)}\n`);
  });
}
