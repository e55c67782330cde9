import { Command } from 'commander';

/** `ijepa data`, `ijepa data info NAME [DIR]`, `ijepa data download NAME DIR` */
export function dataCommand(finish: (exitCode: number) => void): Command {
  const command = new Command('data')
    .summary('list, check and fetch data sets')
    .description('List the data sets that can be used by name, with where each of them is to be had.')
    .option('--json', 'print one JSON document')
    .action(async ({ json = false }: { json?: boolean }) => {
      const { listDataSets } = await import('./data-run.js');
      const { configuredDataSets } = await import('./plugins.js');
      listDataSets(json, await configuredDataSets());
    });
  command
    .command('info')
    .summary('count and check the images of a data set')
    .description(
      'Open a data set, count its images by split and class, and read the first and the last image of each class. ' +
        'Ends with exit code 2 where an image cannot be read.',
    )
    .argument('<name>', 'the name of a data set; `ijepa data` lists them')
    .argument('[dir]', 'the folder in which it lies; for data sets that lie in no folder, what follows their name')
    .option('--check-all', 'read every image')
    .option('--sheet <file>', 'draw examples of the classes as a picture (PNG)')
    .option('--force', 'replace the picture if it is there')
    .action(async (name: string, dir: string | undefined, _flags: InfoFlags, info: Command) => {
      const { runDataInfo } = await import('./data-run.js');
      const { configuredDataSets } = await import('./plugins.js');
      finish(await runDataInfo(name, dir ?? null, info.optsWithGlobals<InfoFlags>(), await configuredDataSets()));
    });
  command
    .command('download')
    .summary('fetch a data set')
    .description(
      'Fetch the files of a data set into a folder, check and unpack them. A download that was interrupted is gone on with ' +
        'by the same command; what is there is not fetched again.',
    )
    .argument('<name>', 'the name of a data set; `ijepa data` lists them')
    .argument('<dir>', 'the folder; nothing is written outside it')
    .option('--mirror <url>', 'the address of a folder that has the files, in place of their own')
    .option('--keep-archives', 'keep archives once they are unpacked')
    .action(async (name: string, dir: string, _flags: DownloadFlags, download: Command) => {
      const { runDataDownload } = await import('./data-run.js');
      const { configuredDataSets } = await import('./plugins.js');
      finish(await runDataDownload(name, dir, download.optsWithGlobals<DownloadFlags>(), await configuredDataSets()));
    });
  for (const subcommand of command.commands) {
    subcommand.option(
      '--json',
      'end with one JSON document on standard output; everything else goes to standard error',
    );
  }
  return command;
}

export interface InfoFlags {
  checkAll?: boolean;
  sheet?: string;
  force?: boolean;
  json?: boolean;
}

export interface DownloadFlags {
  mirror?: string;
  keepArchives?: boolean;
  json?: boolean;
}
