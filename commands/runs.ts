import { Command } from 'commander';

/** `ijepa runs [folder]` */
export function runsCommand(): Command {
  return new Command('runs')
    .summary('list runs, with how far they are')
    .description(
      'List the runs in a folder and three levels below it: whether they are running, done, interrupted or failed, how ' +
        'far they are, whether they have collapsed, and the best accuracy that was measured of them. Only reads; runs may be ' +
        'going on.',
    )
    .argument('[folder]', 'folder to search (default: runs where there is one, or the current folder)')
    .option('--json', 'print one JSON document')
    .action(async (folder: string | undefined, flags: { json?: boolean }) => {
      const { listRuns } = await import('./runs-run.js');
      await listRuns(folder, flags.json === true);
    });
}
