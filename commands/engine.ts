import { Command } from 'commander';

/** `ijepa engine list` */
export function engineCommand(): Command {
  const command = new Command('engine').summary('show what can compute on this machine');
  command
    .command('list')
    .summary('list the engines that are there')
    .description(
      'List every engine: whether it is there, its version, device, threads and speed, and which one auto takes.',
    )
    .option('--json', 'print one JSON document')
    .action(async ({ json = false }: { json?: boolean }) => {
      const { listEngines } = await import('./engine-run.js');
      await listEngines(json);
    });
  return command;
}
