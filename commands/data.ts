import { Command } from 'commander';
import { readNumber } from '../core/config/option.js';

/** `ijepa data`, `ijepa data info NAME [DIR]`, `ijepa data download NAME DIR`, `ijepa data pack DATA... --out DIR` */
export function dataCommand(finish: (exitCode: number) => void): Command {
  const command = new Command('data')
    .summary('list, check, fetch and pack data sets')
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
    .option('--check-all', 'read every image, and hold files against their checksums where there are some')
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
  command
    .command('pack')
    .summary('write shards of images')
    .description(
      'Write the images of a data set, with their classes, as WebDataset shards: tar archives with an index and checksums, ' +
        'which pretrain takes as they are, from a folder or a server. Large images can be made smaller on the way. ' +
        'What was stopped goes on by the same command.',
    )
    .argument('<data...>', 'as for pretrain: folders of images, lists, or a data set with its classes: folder:photos')
    .requiredOption('--out <dir>', 'folder for the shards; nothing is written outside it')
    .option('--resize <n>', 'bring the shorter side of larger images to so many pixels', readNumber)
    .option('--quality <n>', 'quality of their JPEG, 1 to 100 (default: 95)', readNumber)
    .option('--images-per-shard <n>', 'images of a shard', readNumber)
    .option('--shard-megabytes <n>', 'size of a shard in MB (default: 256)', readNumber)
    .action(async (data: string[], _flags: PackFlags, pack: Command) => {
      const { runDataPack } = await import('./data-pack-run.js');
      const { configuredDataSets } = await import('./plugins.js');
      finish(await runDataPack(data, pack.optsWithGlobals<PackFlags>(), await configuredDataSets()));
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

export interface PackFlags {
  out: string;
  resize?: unknown;
  quality?: unknown;
  imagesPerShard?: unknown;
  shardMegabytes?: unknown;
  json?: boolean;
}
