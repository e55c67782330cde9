import { Command, Option as Flag } from 'commander';

/** `ijepa tables [results...]` */
export function tablesCommand(): Command {
  return new Command('tables')
    .summary("show own results in the paper's tables")
    .description(
      "Print the paper's five tables with own results as rows of them, and a table for each other data set. Published " +
        'values are marked as such; this program did not measure them.',
    )
    .argument('[results...]', 'results.json files, or folders to search for them (default: the current folder)')
    .addOption(
      new Flag('--format <name>', 'how tables are written')
        .choices(['text', 'csv', 'markdown', 'latex'])
        .default('text'),
    )
    .option('--chart <file>', 'also draw accuracy, and accuracy against compute, as this PNG')
    .option('--force', 'replace a chart that is there')
    .addOption(new Flag('--json', 'print one JSON document').conflicts('format'))
    .action(async (results: string[], flags: TablesFlags) => {
      const { showTables } = await import('./tables-run.js');
      await showTables(results, flags);
    });
}

/** What the command line said. */
export interface TablesFlags {
  format: 'text' | 'csv' | 'markdown' | 'latex';
  chart?: string;
  force?: boolean;
  json?: boolean;
}
