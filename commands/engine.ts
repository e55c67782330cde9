import { Argument, Command } from 'commander';

/** What `engine install` was told. */
export interface InstallFlags {
  from: string;
  index?: string;
  platform?: string[];
  ifAbsent?: boolean;
}

const INSTALLED = ['onnx', 'tensorflow'];

/** `ijepa engine list`, `install` and `remove` */
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
    .summary('install ONNX Runtime, or the native part of TensorFlow')
    .description(
      'Install an engine into the folder of this program. onnx: ONNX Runtime, out of its package, which npm fetches from its ' +
        "registry. tensorflow: TensorFlow's C library and the addon that TensorFlow.js needs, into the package " +
        '@tensorflow/tfjs-node-gpu.',
    )
    .addArgument(new Argument('<engine>', 'the engine').choices(INSTALLED))
    .option(
      '--from <source>',
      'of tensorflow; pypi: out of the wheel of a Python package index (Linux on x86-64); or the path of a libtensorflow ' +
        'folder, archive (.tar.gz) or wheel; own: the installer of the package',
      'own',
    )
    .option('--index <url>', 'of tensorflow: the package index (default: $PIP_INDEX_URL, or the Python Package Index)')
    .option('--platform <names...>', 'of onnx: whose libraries, such as linux-x64 (default: of this machine)')
    .option('--if-absent', 'of onnx: only where one of them is not there')
    .action(async (engine: string, flags: InstallFlags) => {
      const { installEngine } = await import('./engine-run.js');
      await installEngine(engine, flags);
    });
  command
    .command('remove')
    .summary('remove what install added')
    .description('Remove what `engine install` added.')
    .addArgument(new Argument('<engine>', 'the engine').choices(INSTALLED))
    .action(async (engine: string) => {
      const { removeEngine } = await import('./engine-run.js');
      await removeEngine(engine);
    });
  return command;
}
