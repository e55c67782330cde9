import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { stringify } from 'yaml';
import { commonTable, methodsTable } from '../../commands/config-run.js';
import { UserError } from '../../core/base/errors.js';
import { readConfigFile } from '../../core/config/file.js';
import { flagOf, type OptionTable } from '../../core/config/option.js';
import { compareWithRun, describeOptions, readRunRecord } from '../../core/config/record.js';
import { resolveOptions, validateFlags, validateOptions } from '../../core/config/resolve.js';
import { OPTIONS, schemaOf } from '../../core/config/schema.js';
import { automaticValues, encoderSize, imageShape, learningRateSchedule, ratesAt } from '../../core/config/settings.js';
import { multiblockSettings } from '../../core/methods/masks/options.js';
import type { MethodDefinition } from '../../core/methods/method.js';
import { METHODS } from '../../core/methods/registry.js';
import { hiddenWidth, type VitSize } from '../../core/nn/sizes.js';
import { ijepaHere, temporaryFolder } from '../helpers/command.js';
import { ROOT } from '../helpers/paths.js';

const IJEPA = METHODS.find(({ name }) => name === 'ijepa') as MethodDefinition;
const SCHEMA = schemaOf(IJEPA);
const PRESET_NAMES = METHODS.flatMap(({ presets }) => Object.keys(presets));
const IJEPA_PRESETS = Object.keys(IJEPA.presets);

const resolve = ({ preset, flags = {} }: { preset?: string; flags?: object } = {}) =>
  resolveOptions({ methods: METHODS, preset, flags: { ...flags } });
/** What a run of I-JEPA is with some options. */
const chosen = (options: object) => resolve({ flags: options }).options;
type Masks = Parameters<typeof multiblockSettings>[0];
const masksOf = (options: object) => multiblockSettings(options as Masks);
const predictorOf = (options: Parameters<MethodDefinition['passes']>[0]) =>
  IJEPA.passes(options, {})[2]?.size as VitSize | undefined;
/** The message and advice of the error of doing something. */
const reportOf = (t: { throws: (run: () => unknown, expected: object) => Error | undefined }, run: () => unknown) =>
  (t.throws(run, { instanceOf: UserError }) as UserError | undefined)?.report ?? '';

test('every default and every preset of every method passes validation, fits a model and can be trained', (t) => {
  for (const preset of [undefined, ...PRESET_NAMES]) {
    const { method, schema, options } = resolve({ ...(preset !== undefined && { preset }) });
    t.notThrows(() => validateOptions(options, 'test', schema), preset);
    imageShape(options);
    t.true(encoderSize(options).dim > 0, preset);
    t.notThrows(() => method.automatic?.(options), preset);
    t.true(learningRateSchedule(options).warmupEpochs >= 0, preset);
  }
});

test.serial('help of pretrain has every option with its text, those of its method alone', async (t) => {
  for (const method of METHODS) {
    const { stdout } = await ijepaHere(['pretrain', '--method', method.name, '--help']);
    const help = stdout.replaceAll(/\s+/g, ' ');
    for (const [name, option] of Object.entries(schemaOf(method))) {
      if (!option.positional) t.true(stdout.includes(`  ${flagOf(name, option)} `), name);
      t.true(help.includes(option.help), `help of ${name}`);
    }
    const others = METHODS.flatMap(({ options }) => Object.keys(options)).filter((name) => !(name in schemaOf(method)));
    for (const name of others) t.false(stdout.includes(`  --${name.replace(/[A-Z]/g, '-$&').toLowerCase()} `), name);
    const [own, common] = [stdout.indexOf(`${method.title} (--method ${method.name}):`), stdout.indexOf('\nData:')];
    t.true(own > 0 && own < common, 'its own options come first');
  }
});

test.serial('READMEs have the tables that the definitions of options give', async (t) => {
  const [common, methods] = [commonTable(), methodsTable()];
  for (const [room, table] of Object.entries({ config: common, methods })) {
    const readme = readFileSync(join(ROOT, 'core', room, 'README.md'), 'utf8');
    t.true(readme.includes(table), `core/${room}/README.md: run \`npm run docs\` to bring it up to date`);
  }
  const { stdout } = await ijepaHere(['config', '--table']);
  t.is(stdout, `${methods}\n${common}`);
});

test('the published configurations are those of the reference code', (t) => {
  const { options } = resolve({ preset: 'in1k-vith14-ep300' });
  const [encoder, predictor] = [encoderSize(options), predictorOf(options)];
  t.deepEqual([encoder.dim, encoder.depth, encoder.heads, predictor?.dim, predictor?.depth], [1280, 32, 16, 384, 12]);
  const {
    learningRate,
    startLearningRate,
    finalLearningRate,
    warmupEpochs,
    weightDecay,
    finalWeightDecay,
    ema,
    finalEma,
  } = options;
  t.deepEqual([startLearningRate, learningRate, finalLearningRate, warmupEpochs], [2e-4, 1e-3, 1e-6, 40]);
  t.deepEqual(
    [weightDecay, finalWeightDecay, ema, finalEma, options.batchSize, options.epochs],
    [0.04, 0.4, 0.996, 1, 2048, 300],
  );
  t.deepEqual(
    [options.loss, options.regularizer, options.maskMode, options.minKeep],
    ['smooth-l1', 'none', 'reference', null],
  );
  t.is(masksOf(options).minKeep, 10);
  const released = Object.fromEntries(
    IJEPA_PRESETS.filter((preset) => preset.startsWith('in')).map((preset) => {
      const { options } = resolve({ preset });
      const { warmupEpochs, startLearningRate, maskGroup, batchSize, weightDecaySchedule } = options;
      const depth = predictorOf(options)?.depth;
      return [preset, [warmupEpochs, startLearningRate, maskGroup, batchSize, weightDecaySchedule, depth]];
    }),
  );
  t.deepEqual(released, {
    'in1k-vith14-ep300': [40, 2e-4, 128, 2048, 'cosine', 12],
    'in1k-vith16-448-ep300': [40, 2e-4, 16, 2048, 'cosine', 12],
    'in22k-vith14-ep66': [3, 2e-4, 32, 2048, 'cosine', 12],
    'in22k-vitg16-ep44': [3, 2e-4, 16, 2048, 'cosine', 16],
  });
});

test("the presets of the paper have its schedules: step by step the formulas' values", (t) => {
  const length = { stepsPerEpoch: 625, epochs: 300, scheduleStretch: 1 };
  for (const preset of IJEPA_PRESETS.filter((name) => name.startsWith('paper-'))) {
    const { options } = resolve({ preset, flags: { epochs: 300 } });
    const at = (step: number) => ratesAt(step, options, length);
    const close = (value: number, expected: number) =>
      t.true(Math.abs(value - expected) < 1e-12, `${preset}: ${value}`);
    close(at(625 * 7.5).learningRate, (1e-4 + 1e-3) / 2); // halfway through a warm-up of 15 epochs
    close(at(625 * 15).learningRate, 1e-3);
    close(at(625 * 157.5).learningRate, (1e-3 + 1e-6) / 2); // halfway down the cosine
    close(at(625 * 300).learningRate, 1e-6);
    close(at(625 * 100).weightDecay, 0.16); // a third of the way from 0.04 to 0.4
    close(at(625 * 300).weightDecay, 0.4);
    t.deepEqual([options.ema, options.finalEma], [0.996, 1]);
    t.is(options.loss, 'l2');
    t.is(options.batchSize, 2048);
  }
  const depths = ['vit-base', 'vit-large', 'vit-huge', 'vit-giant'].map(
    (arch) => predictorOf(resolve({ preset: 'paper-vitb16', flags: { arch } }).options)?.depth,
  );
  t.deepEqual(depths, [6, 12, 12, 16]);
});

test('no preset of the paper or the reference has a term against collapse', (t) => {
  for (const preset of IJEPA_PRESETS) {
    const { regularizer } = resolve({ preset }).options;
    t.is(regularizer, preset === 'demo' || preset === 'cpu-small-ijepa' ? 'vicreg' : 'none', preset);
  }
});

test('flags beat the file, the file beats the preset, the preset beats defaults; each value says where it comes from', (t) => {
  const file = { path: 'f.yaml', preset: 'demo', options: { depth: 5, epochs: 7 } };
  const { options, origins } = resolveOptions({ methods: METHODS, file, flags: { epochs: 9 } });
  t.deepEqual([options.epochs, options.depth, options.dim, options.targetBlocks], [9, 5, 64, 4]);
  t.deepEqual(
    [origins.epochs, origins.depth, origins.dim, origins.targetBlocks],
    ['flag', 'f.yaml', 'preset demo', 'default'],
  );
  t.is(
    resolveOptions({ methods: METHODS, preset: 'cpu-small-ijepa', file, flags: {} }).origins.dim,
    'preset cpu-small-ijepa',
    'a flag names the preset',
  );
});

test('unknown names and impossible values are refused with what would be right', (t) => {
  const report = (values: object) => reportOf(t, () => validateOptions({ ...values }, 'f.yaml', SCHEMA));
  t.regex(report({ batchsize: 3 }), /unknown option 'batchsize' in f\.yaml[\s\S]*did you mean 'batchSize'/);
  t.regex(report({ batchSize: 1 }), /batchSize \(--batch-size\) in f\.yaml cannot be 1[\s\S]*whole number from 2/);
  t.regex(report({ batchSize: 2.5 }), /cannot be 2\.5/);
  t.regex(report({ learningRate: 'fast' }), /cannot be "fast"/);
  t.regex(report({ cropScale: [0.9, 0.3] }), /from-to/);
  t.regex(report({ cropScale: [0, 1] }), /above 0 to 1/);
  t.regex(report({ maskMode: 'paper' }), /one of inclusive, reference/);
  t.regex(report({ maskMode: 'referense' }), /did you mean 'reference'/);
  t.regex(report({ loss: 2 }), /loss \(--loss\) in f\.yaml cannot be 2[\s\S]*the name of a loss/);
  t.regex(report({ dim: null, depth: 0 }), /depth[\s\S]*or auto/);
  t.regex(report({ beta2: 1 }), /from 0 to below 1/);
  t.regex(report({ learningRate: Number.POSITIVE_INFINITY }), /cannot be Infinity/);
  t.regex(report({ data: 5 }), /data \(DATA\.\.\.\)/);
  t.regex(
    reportOf(t, () => validateFlags({ batchSize: 'many' }, SCHEMA)),
    /^--batch-size cannot be "many"/,
  );
  t.throws(() => resolve({ preset: 'dmeo' }), { message: /unknown preset 'dmeo'/ });
  t.throws(() => resolve({ flags: { method: 'imae' } }), { message: /unknown method 'imae'/ });
});

test.serial('what is left to the program is written auto on the command line and in files', async (t) => {
  const flags = ['config', '--json', '--preset', 'demo', '--dim', 'auto', '--warmup-epochs', 'auto'];
  const { options } = JSON.parse((await ijepaHere(flags)).stdout);
  t.deepEqual([options.dim, options.warmupEpochs], [null, null]);
  t.deepEqual(validateOptions({ dim: 'auto', minKeep: 'auto', depth: null }, 'f.yaml', SCHEMA), {
    dim: null,
    minKeep: null,
    depth: null,
  });
  t.throws(() => validateOptions({ epochs: 'auto' }, 'f.yaml', SCHEMA), { instanceOf: UserError });
  t.is(validateOptions({ out: 'auto' }, 'f.yaml', SCHEMA).out, 'auto', 'a path has no such word');
});

test("nothing is written 'none', and takes what a weaker source says away", (t) => {
  t.is(validateOptions({ initFrom: 'none' }, 'f.yaml', SCHEMA).initFrom, null);
  t.is(resolve({ preset: 'cpu-small', flags: { initFrom: 'none' } }).options.initFrom, null);
  t.throws(() => validateOptions({ epochs: 'none' }, 'f.yaml', SCHEMA), { instanceOf: UserError });
});

test('the weights from which a preset starts go with its encoder alone', (t) => {
  const starts = (flags: object) => resolve({ preset: 'cpu-small', flags }).options.initFrom;
  for (const same of [{}, { dim: 128 }, { imageSize: 48 }, { headLayers: 3 }, { learningRate: 0.1 }]) {
    t.is(starts(same), 'builtin:drawings', JSON.stringify(same));
  }
  for (const other of [{ dim: 64 }, { patchSize: 4 }, { arch: 'vit-base' }, { method: 'mae' }]) {
    t.is(starts(other), null, JSON.stringify(other));
  }
  t.is(starts({ dim: 64, initFrom: 'runs/a' }), 'runs/a', 'who names weights himself is told that they do not fit');
});

test('a flag can be given as a word, as bench --set does', (t) => {
  const given = (recompute: unknown) => validateFlags({ recompute }, SCHEMA).recompute;
  t.deepEqual(['true', 'false', true].map(given), [true, false, true]);
  t.throws(() => given('yes'), { instanceOf: UserError, message: /--recompute cannot be "yes"/ });
});

test('a warm-up that leads nowhere is refused', (t) => {
  const report = (flags: object) => reportOf(t, () => learningRateSchedule(chosen(flags)));
  t.regex(report({ epochs: 2, warmupEpochs: 40 }), /warm-up of 40 epochs[\s\S]*--warmup-epochs auto/);
  t.regex(report({ startLearningRate: 0.01 }), /--start-learning-rate 0\.01 is more than/);
  t.regex(report({ learningRate: 1e-7 }), /--final-learning-rate 0\.000001 is more than/);
  const { startLearningRate, warmupEpochs } = learningRateSchedule(chosen({ learningRate: 0.01, epochs: 30 }));
  t.deepEqual([startLearningRate, warmupEpochs], [0.002, 3]);
});

test("the giant's predictor has the usual MLP ratio", (t) => {
  const { options } = resolve({ preset: 'in22k-vitg16-ep44' });
  const predictor = predictorOf(options);
  t.deepEqual([hiddenWidth(encoderSize(options)), predictor && hiddenWidth(predictor)], [6144, 1536]);
});

test('a range can be written as text or as a list', (t) => {
  for (const value of ['0.3-1', '0.3,1', '0.3..1', [0.3, 1]]) {
    t.deepEqual(validateOptions({ cropScale: value }, 'f', SCHEMA).cropScale, [0.3, 1]);
  }
});

test('sizes that do not fit are refused with the nearest that do', (t) => {
  const report = (flags: object) => reportOf(t, () => [imageShape(chosen(flags)), encoderSize(chosen(flags))]);
  t.regex(report({ imageSize: 100, patchSize: 16 }), /--image-size 96, or --patch-size 20/);
  t.regex(report({ imageSize: 10, patchSize: 16 }), /--image-size 16, or --patch-size 10/);
  t.regex(
    report({ imageSize: 4096, patchSize: 1 }),
    /at most 128 x 128 patches[\s\S]*--image-size 128, or --patch-size 32/,
  );
  t.regex(report({ dim: 50, heads: 3 }), /--dim 50 does not fit 3 heads[\s\S]*--dim 48 or 60/);
});

test.serial('configuration files are found by name and read as YAML, JSON or modules', async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, 'a.yaml'), 'preset: demo\nepochs: 3\nrun: {engine: x}\n');
  await writeFile(join(folder, 'b.json'), '{"epochs": 4}');
  await writeFile(join(folder, 'c.mjs'), 'export default { epochs: 5 };');
  t.deepEqual(await readConfigFile(join(folder, 'a.yaml')), {
    path: join(folder, 'a.yaml'),
    preset: 'demo',
    options: { epochs: 3 },
    others: [],
  });
  t.deepEqual((await readConfigFile(join(folder, 'b.json')))?.options, { epochs: 4 });
  t.deepEqual((await readConfigFile(join(folder, 'c.mjs')))?.options, { epochs: 5 });
  await writeFile(join(folder, 'bad.yaml'), 'a: [1\n b: }');
  await t.throwsAsync(() => readConfigFile(join(folder, 'bad.yaml')), {
    instanceOf: UserError,
    message: /cannot be read as a configuration/,
  });
  await t.throwsAsync(() => readConfigFile(join(folder, 'none.yaml')), {
    instanceOf: UserError,
    message: /does not exist/,
  });
  for (const name of ['ijepa.config.yaml', '.ijeparc', '.ijeparc.json', 'package.json']) {
    const place = join(folder, name.replaceAll('.', '_'));
    await mkdir(place);
    await writeFile(join(place, name), name === 'package.json' ? '{"ijepa": {"epochs": 8}}' : '{"epochs": 8}');
    const { stdout } = await ijepaHere(['config', '--json'], place);
    t.is(JSON.parse(stdout).options.epochs, 8, name);
  }
});

test.serial('ijepa config prints a configuration that --config reads, with origins', async (t) => {
  const folder = await temporaryFolder(t);
  const { stdout } = await ijepaHere(['config', '--preset', 'cpu-small-ijepa', '--epochs', '12'], folder);
  t.regex(stdout, /epochs: 12 +# flag/);
  t.regex(stdout, /dim: 128 +# preset cpu-small-ijepa/);
  t.regex(stdout, /minKeep: auto +# default: 10, or the smallest block where that is smaller \(here 9\)/);
  t.regex(stdout, /warmupEpochs: auto +# default: a tenth of the epochs \(here 1\.2\)/);
  await writeFile(join(folder, 'printed.yaml'), stdout);
  const again = resolveOptions({
    methods: METHODS,
    file: await readConfigFile(join(folder, 'printed.yaml')),
    flags: {},
  });
  t.deepEqual(again.options, resolve({ preset: 'cpu-small-ijepa', flags: { epochs: 12 } }).options);
  t.is(describeOptions(resolve(), {}).split('\n').length, Object.keys(SCHEMA).length);
});

test('the stronger of epochs and images says how long a run is; images leave epochs to the data', (t) => {
  const preset = {
    ...IJEPA,
    presets: { long: { summary: '', options: { epochs: 600 } }, seen: { summary: '', options: { imagesSeen: 900 } } },
  };
  const of = (name: string | undefined, flags: object, options?: object) =>
    resolveOptions({
      ...{ methods: [preset], preset: name, flags: { ...flags } },
      ...(options && { file: { path: 'f.yaml', preset: undefined, options: { ...options } } }),
    });
  const lengthOf = (...given: Parameters<typeof of>) => {
    const { imagesSeen, epochs } = of(...given).options;
    return imagesSeen === null ? `${epochs} epochs` : `${imagesSeen} images`;
  };
  t.is(lengthOf(undefined, {}), '100 epochs');
  t.is(lengthOf('seen', {}), '900 images');
  t.is(lengthOf('seen', { epochs: 12 }), '12 epochs');
  t.is(lengthOf('seen', {}, { epochs: 12 }), '12 epochs');
  t.is(lengthOf('long', { imagesSeen: 50 }), '50 images');
  t.is(lengthOf('long', { imagesSeen: 50 }, { epochs: 12 }), '50 images');
  t.is(lengthOf('long', {}, { epochs: 3, imagesSeen: 50 }), '50 images', 'the record of a run');
  t.is(lengthOf(undefined, { epochs: 4 }, { epochs: 3, imagesSeen: 50 }), '4 epochs');
  t.regex(
    reportOf(t, () => of(undefined, { epochs: 4, imagesSeen: 50 })),
    /--epochs 4 and --images-seen 50 both say/,
  );
  const described = describeOptions(of('seen', {}), automaticValues(of('seen', {}).options));
  t.notRegex(described, /^epochs:/m);
  t.regex(described, /^imagesSeen: 900 +# preset seen$/m);
  t.regex(described, /^warmupEpochs: auto +# default: a tenth of the epochs$/m);
  t.regex(describeOptions(of('seen', { epochs: 12 }), {}), /^epochs: 12 +# flag\nimagesSeen: null +# default$/m);
});

test('a run goes on with its own options; only those that may change can be given anew', (t) => {
  const recorded = { options: chosen({ epochs: 5, out: 'a' }) };
  const compare = (flags: object) => compareWithRun(resolve({ flags }), recorded);
  t.is(compare({ out: 'b', keepCheckpoints: 9 }).keepCheckpoints, 9);
  t.is(compare({}).epochs, 5);
  const seen = { options: { ...chosen({ imagesSeen: 50 }), epochs: 5 } };
  const goOn = (flags: object) => compareWithRun(resolve({ flags }), seen).epochs;
  t.deepEqual([goOn({}), goOn({ imagesSeen: 50 }), goOn({ epochs: 5 })], [5, 5, 5]);
  t.regex(
    reportOf(t, () => goOn({ epochs: 6 })),
    /--epochs cannot change when a run goes on: it was 5, flag says 6/,
  );
  t.regex(
    reportOf(t, () => goOn({ imagesSeen: 60 })),
    /--images-seen cannot change when a run goes on: it was 50, flag says 60/,
  );
  t.notThrows(() => compare({ epochs: 5 }));
  t.regex(
    reportOf(t, () => compare({ epochs: 6 })),
    /--epochs cannot change when a run goes on: it was 5, flag says 6/,
  );
  t.regex(
    reportOf(t, () => compare({ method: 'mae' })),
    /--method cannot change when a run goes on: it was ijepa/,
  );
});

test('a record that was changed by hand is refused where a run could not go on with it', async (t) => {
  const path = join(await temporaryFolder(t), 'config.yaml');
  const { options } = resolve({ preset: 'demo', flags: { seed: 7 } });
  const run = { microBatchSize: 16, data: { images: 168, fingerprint: 'abc' } };
  const read = () => readRunRecord(path, async () => METHODS);
  await writeFile(path, stringify({ ...options, run }));
  t.deepEqual((await read()).options, options);
  await writeFile(path, `${stringify(options)}imagesize: 5\n${stringify({ run })}`);
  await t.throwsAsync(read, { message: /unknown option 'imagesize'/ });
  await writeFile(path, stringify({ ...options, method: 'unheard-of', run }));
  await t.throwsAsync(read, { message: /unknown method 'unheard-of' in .*config\.yaml/ });
  await writeFile(path, stringify(options));
  await t.throwsAsync(read, { message: /not a whole record of a run: its section run is missing/ });
});

test('an option of another method is told from a wrong name, in files and on the command line', (t) => {
  const flags = () => resolve({ flags: { method: 'ijepa', maskRatio: 0.5 } });
  t.regex(reportOf(t, flags), /^--mask-ratio is an option of the methods? mae.*; this run's method is ijepa/);
  t.regex(reportOf(t, flags), /\n {2}expected: options of ijepa: .*--target-blocks.*; and those of all methods\n/);
  t.notRegex(reportOf(t, flags), /targetBlocks/);
  const file = { path: 'f.yaml', preset: undefined, options: { method: 'mae', targetBlocks: 3 } };
  const inFile = reportOf(t, () => resolveOptions({ methods: METHODS, file, flags: {} }));
  t.regex(
    inFile,
    /^targetBlocks \(--target-blocks\) in f\.yaml is an option of the methods ijepa, cjepa; this run's method is mae/,
  );
  t.regex(inFile, /\n {2}expected: options of mae: .*maskRatio.*; and those of all methods\n/);
});

test('a preset brings its method; what it says of other methods has none of its own options', (t) => {
  const mae = METHODS.find(({ name }) => name === 'mae') as MethodDefinition;
  const [preset = ''] = Object.keys(mae.presets);
  t.is(resolve({ preset }).method, mae);
  const { method, options, origins } = resolve({ preset: 'demo', flags: { method: 'mae' } });
  t.is(method, mae);
  t.deepEqual([options.dim, origins.dim, 'predictorDim' in options], [64, 'preset demo', false]);
});

test("no method's own option has the name of a common one", (t) => {
  for (const { name, options } of METHODS) {
    const doubled = Object.keys(options satisfies OptionTable).filter((option) => option in OPTIONS);
    t.deepEqual(doubled, [], name);
  }
});

test.serial(
  'every form of a configuration is read, or named as not read, with or without a byte order mark',
  async (t) => {
    const folder = await temporaryFolder(t);
    const epochsOf = async (name: string, content: string | Buffer) => {
      await writeFile(join(folder, name), content);
      return (await readConfigFile(join(folder, name)))?.options.epochs;
    };
    for (const mark of ['', '\uFEFF']) {
      for (const name of ['a.yaml', 'a.yml', 'rc'])
        t.is(await epochsOf(`${mark.length}${name}`, `${mark}epochs: 8\n`), 8, name);
      t.is(await epochsOf(`${mark.length}.json`, `${mark}{"epochs": 8}`), 8);
      t.is(await epochsOf(`${mark.length}.mjs`, `${mark}export default { epochs: 8 };`), 8);
      t.is(await epochsOf(`${mark.length}.cjs`, `${mark}module.exports = { epochs: 8 };`), 8);
      t.is(await epochsOf('package.json', `${mark}{"name": "x", "ijepa": {"epochs": 8}}`), 8);
    }
    for (const encoding of ['with', 'without']) {
      const text = Buffer.from(`${encoding === 'with' ? '\uFEFF' : ''}epochs: 8`, 'utf16le');
      await t.throwsAsync(() => epochsOf('wide.yaml', text), { instanceOf: UserError, message: /a text in UTF-16/ });
    }
    const isRead = Boolean((process.features as { typescript?: unknown }).typescript);
    for (const [name, says] of [
      ['ijepa.config.ts', /is not read: Node .* does not run TypeScript/],
      ['ijepa.config.mts', /is not read: Node .* does not run TypeScript/],
      ['.ijeparc.cts', /is not read: Node .* does not run TypeScript/],
      ['ijepa.config.toml', /is not read: the form \.toml is not/],
      ['.ijeparc.json5', /is not read: the form \.json5 is not/],
    ] as const) {
      const place = join(folder, `in${name}`);
      await mkdir(place);
      await writeFile(
        join(place, name),
        name.endsWith('.cts') ? 'export = { epochs: 8 };' : 'export default { epochs: 8 };',
      );
      if (name.endsWith('ts') && isRead) {
        t.is((await readConfigFile(join(place, name)))?.options.epochs, 8);
        continue;
      }
      await t.throwsAsync(() => readConfigFile(join(place, name)), { instanceOf: UserError, message: says });
      if (name !== 'ijepa.config.toml') continue;
      const found = await ijepaHere(['config'], place);
      t.is(found.code, 2);
      t.regex(found.stderr, says);
      await writeFile(join(place, '.ijeparc'), 'epochs: 8\n'); // is looked for later
      t.is((await ijepaHere(['config'], place)).code, 2);
      await writeFile(join(place, 'ijepa.config.yaml'), 'epochs: 9\n');
      const { code, stdout, stderr } = await ijepaHere(['config', '--json'], place);
      t.deepEqual([code, JSON.parse(stdout).options.epochs], [0, 9]);
      t.regex(
        stderr,
        /^note: .*ijepa\.config\.toml is passed over: .*yaml is the configuration that is used\nnote: .*\.ijeparc is/,
      );
    }
  },
);

test('what is wrong in a configuration is told whole, with line and column', async (t) => {
  const folder = await temporaryFolder(t);
  for (const [name, content, says] of [
    ['a.json', '{\n  "imageSize": 96,\n}\n', /configuration: Expected double-quoted property name, line 3, column 1$/],
    ['b.json', '{\n  "imageSize": x}\n', /Unexpected token 'x', line 2, column 16$/],
    ['c.json', '{\n  "imageSize": 9', /line 2, column 17$/],
    ['package.json', '{\n  "name": "x"\n  "ijepa": {}}', /line 3, column 3$/],
    ['a.yaml', 'epochs: 1\ndata: [a\nseed: 2\n', /line 3, column 1$/],
    ['a.mjs', 'export default {\n  imageSize: ,\n};', /configuration: Unexpected token ',', line 2, column 14$/],
    ['b.mjs', '\n throw new Error("no\\ngood reason");', /configuration: no good reason, line 2, column 8$/],
    [
      'a.cjs',
      'module.exports = {\n  imageSize: nothing,\n};',
      /configuration: nothing is not defined, line 2, column 14$/,
    ],
    ['b.cjs', 'module.exports = {\n', /Unexpected end of input, line \d+/],
  ] as const) {
    await writeFile(join(folder, name), content);
    await t.throwsAsync(() => readConfigFile(join(folder, name)), { instanceOf: UserError, message: says }, name);
  }
});
