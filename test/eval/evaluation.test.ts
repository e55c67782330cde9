import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import sharp from 'sharp';
import type { EvaluationResult } from '../../core/eval/results.js';
import { ijepaHere, SMALLEST, temporaryFolder } from '../helpers/command.js';
import { stoppedHereWhen } from '../helpers/faults.js';
import { piecesIn } from '../helpers/features.js';
import { writeShapesWithMasks } from '../helpers/masked.js';
import { FIXTURES } from '../helpers/paths.js';
import { factsIn } from '../helpers/report.js';

/** A run of a few steps, for all tests. */
const RUN = join(await mkdtempOnce(), 'run');

async function mkdtempOnce(): Promise<string> {
  const { mkdtemp } = await import('node:fs/promises');
  const { tmpdir } = await import('node:os');
  return mkdtemp(join(tmpdir(), 'ijepa-evaluation-'));
}

test.before(async (t) => {
  const { code, stderr } = await ijepaHere(['pretrain', ...SMALLEST, '--epochs', '2', '--out', RUN]);
  t.is(code, 0, stderr);
});

test.after.always(async () => {
  const { rm } = await import('node:fs/promises');
  await rm(join(RUN, '..'), { recursive: true, force: true });
});

/** Folders of flat pictures: the class is the brightness. */
async function brightnessFolder(folder: string, classes: readonly string[], count: number): Promise<void> {
  for (const split of ['train', 'val']) {
    for (const [at, name] of classes.entries()) {
      await mkdir(join(folder, split, name), { recursive: true });
      for (let i = 0; i < count; i++) {
        const level = Math.round((255 * (at + 0.2 + (0.6 * i) / count)) / classes.length);
        const image = sharp({
          create: { width: 20, height: 20, channels: 3, background: { r: level, g: level, b: level } },
        });
        await image.png().toFile(join(folder, split, name, `${i}.png`));
      }
    }
  }
}

test.serial('probe judges a checkpoint beside its random initialisation, and keeps everything in --out', async (t) => {
  const folder = await temporaryFolder(t);
  const data = join(folder, 'data');
  await brightnessFolder(data, ['dark', 'middle', 'light'], 12);
  const out = join(folder, 'out');
  // Heads on one layer: their number is what takes time. Those of both are of the grid of fine-tuning with few labels.
  const args = [
    ...['probe', RUN, '--data', data, '--out', out, '--layers', 'last'],
    ...['--formats', 'csv,markdown,latex', '--json'],
  ];
  const { code, stdout, stderr } = await ijepaHere(args);
  t.is(code, 0, stderr);
  const { results }: { results: EvaluationResult[] } = JSON.parse(stdout);
  t.deepEqual(
    results.map(({ network }) => network.weights),
    ['pretrained', 'random'],
  );
  for (const result of results) {
    t.is(result.heads.length, 8);
    t.true(result.best.top1.value > 90, 'brightness is easy for any network');
    t.true(result.heads.every(({ curve }) => curve.length === result.protocol.epochs));
    t.deepEqual(
      result.neighbours.map(({ k }) => k),
      [10, 20],
      'more neighbours than training images are left out',
    );
    t.true(result.pixelNeighbours.length === 2 && result.ridge !== null);
    t.is(result.protocolName, 'quick');
    const named = result.predictions?.head.split(' ') ?? [];
    const right = result.predictions?.labels.split(' ').filter((label, at) => label === named[at]) ?? [];
    t.true(Math.abs((100 * right.length) / result.testImages - result.best.top1.value) < 1e-9);
    t.true(result.best.top1.low <= result.best.top1.value && result.best.top1.value <= result.best.top1.high);
  }
  t.true((results[0]?.compute?.trainingFlops ?? 0) > 0);
  t.deepEqual((await readdir(out)).sort(), [
    'chart.png',
    'features',
    'heads',
    'results.json',
    'tables.csv',
    'tables.md',
    'tables.tex',
  ]);
  t.regex(
    stderr,
    /protocol {3}quick[\s\S]*held-out tenth[\s\S]*decorrelated; SGD, momentum 0.9[\s\S]*random initialisation/,
  );
  const more = ['--shots', '1,2', '--draws', '2', '--lidar-views', '2'];
  const again = await ijepaHere([...args, '--no-baseline', ...more]);
  const second: { results: EvaluationResult[] } = JSON.parse(again.stdout);
  t.deepEqual(
    second.results.map(({ heads }) => heads),
    results.slice(0, 1).map(({ heads }) => heads),
    'the same features and seed give the same heads',
  );
  const [measured] = second.results;
  t.deepEqual(
    measured?.fewLabels?.map(({ images }) => images),
    [3, 6],
  );
  t.like(measured?.geometry, { images: 36, lidar: { images: 36, views: 2 } });
  t.is(JSON.parse(await readFile(join(out, 'results.json'), 'utf8')).length, 2, 'results are replaced, not doubled');
  await writeShapesWithMasks(join(folder, 'masked'), 5);
  const paper = ['--protocol', 'paper', '--views', '0', '--seeds', '2']; // it takes the fewest steps
  const onTokens = ['--attentive', '--segmentation', join(folder, 'masked')];
  const third = await ijepaHere([...args, '--no-baseline', ...paper, ...onTokens]);
  const [judged] = JSON.parse(third.stdout).results as EvaluationResult[];
  t.is(judged?.overSeeds?.values.length, 2);
  t.is(judged?.overSeeds?.values[0], judged?.best.top1.value);
  t.is(judged?.attentive?.curve.length, 20);
  t.is(judged?.attentive?.curve.at(-1), judged?.attentive?.top1.value);
  t.like(judged?.segmentation, { classes: [0, 1, 2], trainImages: 4, testImages: 1 });
  const paired = await ijepaHere(['tables', out, '--paired', 'logistic']);
  t.regex(paired.stdout, /exact test, logistic regression\n.*I-JEPA .* against random initialisation .*of 36 test/);
  const tables = await ijepaHere(['tables', out]);
  t.regex(tables.stdout, /Table 1 of the paper[\s\S]*folder, linear evaluation/);
});

test.serial('pictures with masks are enough for a probe of pixels, and for nothing else', async (t) => {
  const folder = await temporaryFolder(t);
  await writeShapesWithMasks(join(folder, 'masked'), 5);
  const args = ['probe', RUN, '--segmentation', join(folder, 'masked'), '--out', join(folder, 'out'), '--json'];
  const { code, stdout, stderr } = await ijepaHere(args);
  t.is(code, 0, stderr);
  t.regex(
    stderr,
    /network {4}I-JEPA[\s\S]*IoU: class 0 [\d.]+, class 1[\s\S]*random initialisation[\s\S]*segmentation of 1 images/,
  );
  const { results, files } = JSON.parse(stdout);
  t.deepEqual(files, [join(folder, 'out', 'segmentation.json')]);
  t.deepEqual(JSON.parse(await readFile(files[0], 'utf8')), results);
  t.like(results, { length: 2, 0: { segmentation: { trainImages: 4 } }, 1: { network: { weights: 'random' } } });
  const places = [files, [join(folder, 'out')]]; // the file, and a folder that holds it
  for (const place of places) {
    const { stdout: tables, stderr: said } = await ijepaHere(['tables', ...place, '--json']);
    const own = JSON.parse(tables).tables.find(({ name }: { name: string }) => name.endsWith('masked-segmentation'));
    t.is(own?.groups[0].rows.length, 2, said);
    t.is(own.groups[0].rows[0].cells[3].value, results[0].segmentation.meanIou);
    t.is(said, '');
  }
  const page = join(folder, 'page.html');
  await ijepaHere(['report', RUN, '--out', page, '--pictures', '0', '--results', join(folder, 'out')]);
  const shown = factsIn(await readFile(page, 'utf8')).tables.find(({ title }) => title.includes('linear segmentation'));
  t.is(shown?.groups[0]?.rows.length, 2);
  const more = await ijepaHere([...args, '--attentive']);
  t.is(more.code, 2);
  t.regex(more.stderr, /none were named[\s\S]*name labelled images with --data/);
});

test.serial('finetune-1pct reports the better of fine-tuning and probe', async (t) => {
  const folder = await temporaryFolder(t);
  await brightnessFolder(folder, ['dark', 'light'], 12);
  const { code, stdout, stderr } = await ijepaHere([
    'finetune-1pct',
    RUN,
    '--data',
    folder,
    '--fraction',
    '0.5,25%',
    '--no-baseline',
    '--json',
    ...['--protocol', 'paper', '--views', '1', '--epochs', '3', '--learning-rate', '0.001'],
  ]);
  t.is(code, 0, stderr);
  t.regex(
    stderr,
    /protocol {3}paper[\s\S]*tuning {5}with changes[\s\S]*batches of 12 \(all[^)]*512\), learning rate 2.344e-5 [\s\S]*rand-m9-mstd0.5-inc1/,
  );
  const [result, quarter] = JSON.parse(stdout).results as EvaluationResult[];
  t.is(quarter?.trainImages, 6);
  t.is(quarter?.fineTuning?.curve.length, 2, 'tests of every epoch would take longer than training');
  t.regex(stderr, /few labels: 2 classes, 12 training[\s\S]*few labels: 2 classes, 6 training/);
  t.is(result?.fineTuning?.protocol, 'own');
  // More than the 12 images there are: all of them are the batch.
  t.like(result?.fineTuning?.settings, { epochs: 3, warmupEpochs: 2, batchSize: 512, labelSmoothing: 0.1 });
  t.is(result?.kind, 'semi-supervised');
  t.deepEqual([...new Set(result?.heads.map(({ name }) => name.split(', ')[0]))], ['last', 'last-4']);
  t.is(result?.trainImages, 12);
  t.is(result?.fineTuning?.curve.length, 3);
  const probed = Math.max(...(result?.heads ?? []).map(({ top1 }) => top1.value));
  t.is(result?.best.top1.value, Math.max(probed, result?.fineTuning?.top1.value ?? 0));
});

test.serial('transfer-eval takes what is there and says how to get the rest', async (t) => {
  const root = join(FIXTURES, 'data');
  const args = ['transfer-eval', RUN, '--data-root', root, '--no-baseline', '--json'];
  const { code, stdout, stderr } = await ijepaHere([...args, '--datasets', 'cifar100,clevr-count', '--layers', 'last']);
  t.is(code, 0, stderr);
  const { results }: { results: EvaluationResult[] } = JSON.parse(stdout);
  t.deepEqual(
    results.map(({ dataSet, kind }) => [dataSet, kind]),
    [
      ['cifar100', 'transfer'],
      ['clevr-count', 'transfer'],
    ],
  );
  t.is(results[0]?.protocol.optimiser, 'sgd');
  t.is(results[1]?.protocol.transform, 'squash');
  const empty = await temporaryFolder(t);
  const none = await ijepaHere(['transfer-eval', RUN, '--data-root', empty]);
  t.is(none.code, 2);
  t.regex(none.stderr, /cifar100 is not below .*ijepa data download cifar100[\s\S]*none of the data sets/);
});

test.serial('what cannot be evaluated gets one message', async (t) => {
  const folder = await temporaryFolder(t);
  await brightnessFolder(folder, ['dark', 'light'], 4);
  const cases: [string[], RegExp][] = [
    [['probe', join(folder, 'none.safetensors'), '--data', folder], /none\.safetensors does not exist/],
    [['probe', folder, '--data', folder], /expected: |what to do: /],
    [['probe', RUN, '--data', 'shape'], /unknown folder or data set 'shape'[\s\S]*did you mean 'shapes'/],
    [['probe', RUN, '--data', folder, '--views', '-1'], /--views cannot be -1/],
    [['probe', RUN, '--data', folder, '--image-size', '17'], /multiple of 4/],
    [['probe', RUN, '--data', folder, '--formats', 'csv'], /--out DIR/],
    [['transfer-eval', RUN, '--data-root', folder, '--datasets', 'cifar10'], /did you mean 'cifar100'/],
    [['finetune-1pct', RUN, '--data', folder, '--fraction', '2'], /--fraction cannot be '2'/],
    [['finetune-1pct', RUN, '--data', folder, '--label-smoothing', '1'], /a label smoothing of 1\n[\s\S]*below 1/],
  ];
  for (const [args, message] of cases) {
    const { code, stderr } = await ijepaHere(args, folder);
    t.is(code, 2, args.join(' '));
    t.regex(stderr, message, args.join(' '));
    t.notRegex(stderr, /\n {4}at /);
  }
  await writeFile(join(folder, 'val', 'dark', 'broken.png'), 'no picture');
  const broken = await ijepaHere(['probe', RUN, '--data', folder], folder);
  t.is(broken.code, 2);
  t.regex(broken.stderr, /broken\.png[\s\S]*--max-unreadable/);
  await mkdir(join(folder, 'val', 'unknown'));
  await writeFile(join(folder, 'val', 'unknown', '1.png'), 'x');
  const unknown = await ijepaHere(['probe', RUN, '--data', folder], folder);
  t.is(unknown.code, 2);
  t.regex(unknown.stderr, /unknown/);
});

test.serial('an evaluation that is interrupted goes on with the features that it had', async (t) => {
  const folder = await temporaryFolder(t);
  const out = join(folder, 'out');
  const args = ['probe', RUN, '--data', 'shapes:120', '--batch-size', '8', '--out', out, '--no-baseline'];
  const kept = () => piecesIn(join(out, 'features'));
  const stopped = await stoppedHereWhen(() => kept() >= 2, args, 'SIGINT');
  t.is(stopped.code, 130, stopped.stderr);
  t.regex(stopped.stderr, /what was computed is kept/);
  t.false(existsSync(join(out, 'results.json')));
  t.true(kept() >= 2);
});
