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
    const { checkSelected } = await import('./plugins.js');
    await checkSelected(resolved);
    const { describeOptions } = await import('../core/config/record.js');
    const { automaticValues } = await import('../core/config/settings.js');
    const { method, options } = resolved;
    const automatic = { ...automaticValues(options), ...method.automatic?.(options) };
    process.stdout.write(
      `${flags.json ? JSON.stringify({ options, origins: resolved.origins }) : describeOptions(resolved, automatic)}\n`,
    );
  });
}
