import { BENCH_COMMAND } from './bench-command.js';
import { type CommandDefinition, defineCommand } from './command.js';
import { COMPARE_COMMAND } from './compare-command.js';
import * as judging from './options/evaluation.js';
import * as exchange from './options/exchange.js';
import * as tables from './options/others.js';
import * as using from './options/using.js';
import { RUN_COMMANDS } from './run-commands.js';
import { SLURM_COMMAND } from './slurm-command.js';
import { SWEEP_COMMAND } from './sweep-command.js';

/** Options of runs, beside those of masks, that decide what a preview of masks shows. */
const PREVIEWED = ['method', 'imageSize', 'patchSize', 'batchSize', 'seed', 'cropScale', 'cropAspect', 'plugins'];

/** Every command of the program, in the order of its help. */
export const COMMANDS: readonly CommandDefinition[] = [
  defineCommand({
    name: 'pretrain',
    summary: 'learn from pictures',
    description: 'Learn representations from pictures without labels, by a self-supervised method.',
    options: tables.PRETRAIN_OPTIONS,
    hasRunOption: () => true,
    run: async (options, resolved) => (await import('./pretrain-run.js')).runPretrain(resolved, options),
  }),
  SLURM_COMMAND,
  defineCommand({
    name: 'probe',
    summary: 'judge what an encoder has learned by linear heads and nearest neighbours',
    description:
      "Train the protocol's linear heads on the frozen features of an encoder, and count its nearest neighbours, beside " +
      'the same network at random initialisation.',
    options: judging.PROBE_OPTIONS,
    run: async (options) => (await import('./probe-run.js')).runProbe(options),
  }),
  COMPARE_COMMAND,
  SWEEP_COMMAND,
  defineCommand({
    name: 'predict',
    summary: "tell the classes of images by a probe's head",
    description:
      'Run images through the encoder that was probed and the linear head that was chosen, and print the most probable ' +
      'classes of each.',
    options: using.PREDICT_OPTIONS,
    run: async (options) => (await import('./predict-run.js')).runPredict(options),
  }),
  defineCommand({
    name: 'finetune-1pct',
    summary: 'judge an encoder with few labels: fine-tuning and linear heads',
    description:
      'Fine-tune the whole encoder on a small part of the labels, and train linear heads on the same images; the better ' +
      'of the two is what the paper reports, and both are shown.',
    options: judging.FINETUNE_OPTIONS,
    run: async (options) => (await import('./probe-run.js')).runFinetune(options),
  }),
  defineCommand({
    name: 'transfer-eval',
    summary: "judge encoders on the paper's transfer tasks",
    description:
      "Train linear heads on the frozen features of one or several encoders, on every data set of the paper's transfer " +
      'table that is found below a folder. Those that are not are listed with where to get them.',
    options: judging.TRANSFER_OPTIONS,
    run: async (options) => (await import('./probe-run.js')).runTransferEval(options),
  }),
  defineCommand({
    name: 'features',
    summary: 'write the features that an encoder gives to images',
    description:
      'Run images through a frozen encoder and write what it makes of them: the average of its patch tokens, a row for ' +
      'each image, with labels and names.',
    options: judging.FEATURES_OPTIONS,
    run: async (options) => (await import('./features-run.js')).runFeatures(options),
  }),
  defineCommand({
    name: 'search',
    summary: 'find the images that are most like others',
    description:
      'Find the images in a file of features that are most like others, by the cosine of the angle between their features. ' +
      'Images that are not in the file are run through the encoder that computed it.',
    options: using.SEARCH_OPTIONS,
    run: async (options) => (await import('./search-run.js')).runSearch(options),
  }),
  defineCommand({
    name: 'export',
    summary: 'write an encoder for Python and other programs',
    description:
      'Write the encoder of a run, or of whatever else holds one, as a folder that other programs open as it is, with a ' +
      'card that tells what it is and how it was judged.',
    options: exchange.EXPORT_OPTIONS,
    run: async (options) => (await import('./export-run.js')).runExport(options),
  }),
  defineCommand({
    name: 'convert',
    summary: 'show what a file of weights holds, and turn one form into another',
    description:
      'Say what a file or folder of weights is: sizes, parts, where it was trained. With --to and --out, write it in ' +
      'another form, as export does.',
    options: exchange.CONVERT_OPTIONS,
    run: async (options) => (await import('./export-run.js')).runConvert(options),
  }),
  ...RUN_COMMANDS,
  defineCommand({
    name: 'tables',
    summary: "show own results in the paper's tables",
    description:
      "Print the paper's five tables with own results as rows of them, and a table for each other data set. Published " +
      'values are marked as such; this program did not measure them.',
    options: tables.TABLES_OPTIONS,
    run: async (options) => (await import('./tables-run.js')).showTables(options),
  }),
  defineCommand({
    name: 'data',
    summary: 'list, check, fetch and pack data sets',
    description: 'List the data sets that can be used by name, with where each of them is to be had.',
    options: tables.JSON_ONLY,
    run: async ({ json }) => (await import('./data-run.js')).listDataSets(json, await dataSets()),
    commands: [
      defineCommand({
        name: 'info',
        summary: 'count and check the images of a data set',
        description:
          'Open a data set, count its images by split and class, and read the first and the last image of each class. ' +
          'Ends with exit code 2 where an image cannot be read.',
        options: tables.INFO_OPTIONS,
        run: async (options) => (await import('./data-run.js')).runDataInfo(options, await dataSets()),
      }),
      defineCommand({
        name: 'download',
        summary: 'fetch a data set',
        description:
          'Fetch the files of a data set into a folder, check and unpack them. A download that was interrupted is gone on ' +
          'with by the same command; what is there is not fetched again.',
        options: tables.DOWNLOAD_OPTIONS,
        run: async (options) => (await import('./data-run.js')).runDataDownload(options, await dataSets()),
      }),
      defineCommand({
        name: 'pack',
        summary: 'write shards of images',
        description:
          'Write the images of a data set, with their classes, as WebDataset shards: tar archives with an index and ' +
          'checksums, which pretrain takes as they are, from a folder or a server. Large images can be made smaller on the ' +
          'way. What was stopped goes on by the same command.',
        options: tables.PACK_OPTIONS,
        run: async (options) => (await import('./data-run.js')).runDataPack(options, await dataSets()),
      }),
    ],
  }),
  defineCommand({
    name: 'methods',
    summary: 'list the methods, with their presets',
    description:
      'List the self-supervised methods that there are, those of the plugins that the configuration of this folder names ' +
      'too, with their presets. `ijepa pretrain --method NAME --help` tells the options of one.',
    options: tables.JSON_ONLY,
    run: async ({ json }) => (await import('./config-run.js')).listMethods(json),
  }),
  defineCommand({
    name: 'mask-preview',
    summary: 'draw the masks of a run as a picture',
    description:
      'Draw the masks of a training step: a row for each picture, with what the encoder sees and what is to be predicted, ' +
      'and how often each patch is in a mask over 1,000 images. Without images, those of the configuration are shown as ' +
      'training cuts them.',
    options: tables.MASK_PREVIEW_OPTIONS,
    hasRunOption: (name, { group }) => group === 'Masks' || PREVIEWED.includes(name),
    run: async (options, resolved) => (await import('./mask-preview-run.js')).runMaskPreview(resolved, options),
  }),
  defineCommand({
    name: 'config',
    summary: 'show every option and where its value comes from',
    description:
      'Print the configuration that pretrain would use, as YAML that --config reads, with the origin of each value.',
    options: tables.CONFIG_OPTIONS,
    hasRunOption: () => true,
    run: async (options, resolved) => (await import('./config-run.js')).showConfig(resolved, options),
  }),
  defineCommand({
    name: 'engine',
    summary: 'show what can compute on this machine',
    options: {},
    commands: [
      defineCommand({
        name: 'list',
        summary: 'list the engines that are there',
        description:
          'List every engine: whether it is there, its version, device, threads and speed, and which one auto takes.',
        options: tables.JSON_ONLY,
        run: async ({ json }) => (await import('./engine-run.js')).listEngines(json),
      }),
      defineCommand({
        name: 'install',
        summary: 'install ONNX Runtime, OpenVINO, the native part of TensorFlow, or MPI',
        description:
          'Install an engine, or MPI, into the folder of this program. onnx: ONNX Runtime, out of its package, which npm fetches ' +
          'from its registry. openvino: OpenVINO, out of its wheel, which is downloaded from a Python package index. ' +
          "tensorflow: TensorFlow's C library and the addon that TensorFlow.js needs, into the package " +
          '@tensorflow/tfjs-node-gpu. mpi: MPICH with its launcher mpiexec, which starts a run on several machines, out of its ' +
          'wheel; an MPI that the machines have needs no installation.',
        options: tables.ENGINE_INSTALL_OPTIONS,
        run: async (options) => (await import('./engine-run.js')).install(options),
      }),
      defineCommand({
        name: 'remove',
        summary: 'remove what install added',
        description: 'Remove what `engine install` added.',
        options: tables.ENGINE_REMOVE_OPTIONS,
        run: async ({ name }) => (await import('./engine-run.js')).remove(name),
      }),
    ],
  }),
  defineCommand({
    name: 'plugin',
    summary: 'hold a plugin against its contract',
    options: {},
    commands: [
      defineCommand({
        name: 'check',
        summary: 'find what a plugin does wrong',
        description:
          'Hold a plugin against the contract of plugins, for those who write one: its definition; methods, losses, ' +
          'regularizers and tokenizers on every engine that is there (finite differences, batches in parts, repeated ' +
          'draws); monitors; and those of its data sets that are named. Ends with exit code 2 where something is wrong.',
        options: tables.PLUGIN_CHECK_OPTIONS,
        run: async ({ plugin, data, json }) => (await import('./plugin-run.js')).runPluginCheck(plugin, data, json),
      }),
    ],
  }),
  BENCH_COMMAND,
];

async function dataSets() {
  return (await import('./plugins.js')).configuredDataSets();
}
