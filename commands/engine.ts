import { Argument, Command } from 'commander';

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
  command
    .command('install')
    .summary('install the native part of TensorFlow')
    .description(
      "Install TensorFlow's C library and the addon that TensorFlow.js needs, into the package @tensorflow/tfjs-node-gpu.",
    )
    .addArgument(new Argument('<engine>', 'the engine').choices(['tensorflow']))
    .option(
      '--from <source>',
      'pypi: out of the wheel of a Python package index (Linux on x86-64); or the path of a libtensorflow folder, archive ' +
        '(.tar.gz) or wheel; own: the installer of the package',
      'own',
    )
    .option('--index <url>', 'the package index (default: $PIP_INDEX_URL, or the Python Package Index)')
    .action(async (_engine: string, { from, index }: { from: string; index?: string }) => {
      const { installEngine } = await import('./engine-run.js');
      await installEngine(from, index ?? process.env.PIP_INDEX_URL);
    });
  command
    .command('remove')
    .summary('remove what install added')
    .description('Remove what `engine install` added.')
    .addArgument(new Argument('<engine>', 'the engine').choices(['tensorflow']))
    .action(async () => {
      const { removeEngine } = await import('./engine-run.js');
      await removeEngine();
    });
  return command;
}
