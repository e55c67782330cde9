import { existsSync, readFileSync } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import sharp from 'sharp';
import { tryEngine } from '../../core/engine/start.js';
import type { LogRow } from '../../core/run/run-log.js';
import { type EndedHere, ijepa, ijepaHere, SMALLEST, temporaryFolder } from '../helpers/command.js';
import { stoppedHere } from '../helpers/faults.js';

/** A plugin with an objective and monitors, as a user would write it. */
const PLUGIN = `
export default {
  name: 'mine',
  summary: 'objectives and monitors of my own',
  losses: [
    { name: 'log-cosh', summary: 'smooth everywhere', compute(tf, p, t) {
      const d = p.sub(t).abs();
      return d.add(tf.softplus(d.mul(-2))).sub(Math.LN2).mean();
    } },
    { name: 'late-nan', summary: 'no number on real batches', compute: (tf, p, t) =>
      p.sub(t).square().mean().mul(p.shape[0] > 2 ? NaN : 1) },
    { name: 'shape', summary: 'no scalar', compute: (tf, p, t) => p.sub(t).square().mean(2) },
  ],
  regularizers: [
    { name: 'projected', summary: 'projections are to vary',
      draw: (random, width) => ({ a: { shape: [width, 4], values: Float32Array.from({ length: 4 * width }, () => random.normal()) } }),
      compute: (tf, z, { a }) => tf.moments(tf.matMul(z, a), 0).variance.sub(1).square().mean() },
  ],
  monitors: [
    { name: 'sums', summary: 'sum of all features, and how often it observed', values: ['sum', 'count'],
      start: () => ({
        observe({ step, features }, memory) {
          const count = (memory?.count ?? 0) + 1;
          const message = 'step ' + step + ': observation ' + count;
          return { values: { sum: features.reduce((a, b) => a + b, 0), count }, memory: { count }, ...(count === 2 && { message }) };
        },
      }) },
    { name: 'broken', summary: 'fails', values: ['none'], start: () => ({ observe: () => { throw new Error('out of order'); } }) },
    { name: 'unstartable', summary: 'fails at once', values: [], start: () => { throw new Error('not today'); } },
  ],
};`;

const TINY = ['shapes:24', ...SMALLEST.slice(1)];
const OBJECTIVE = 'loss: log-cosh\nregularizer: projected\n';

/** A folder with the plugin and a configuration that names it. */
async function folderWith(t: ExecutionContext, configuration: string): Promise<string> {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, 'mine.mjs'), PLUGIN);
  await writeFile(join(folder, 'c.yaml'), `plugins: [./mine.mjs]\n${configuration}`);
  return folder;
}

const train = (folder: string, run: string, ...more: string[]): Promise<EndedHere> =>
  ijepaHere(['pretrain', ...TINY, '--config', 'c.yaml', '--out', run, ...more], folder);

type Row = Pick<LogRow, 'step' | 'loss' | 'featureRank' | 'monitors'>;

const rowsOf = (folder: string, run: string): Row[] =>
  readFileSync(join(folder, run, 'log.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

const latest = (folder: string, run: string) => readFile(join(folder, run, 'checkpoints', 'latest.safetensors'));

/** The faster of two that are there without being installed; objectives are tried on every engine in test/methods. */
const engine = (await tryEngine('onnx')).present ? 'onnx' : 'wasm';

test.serial(
  `objective and monitor of a user's plugin train, and go on where they were stopped, on ${engine}`,
  async (t) => {
    const folder = await folderWith(
      t,
      `${OBJECTIVE}monitors: [collapse, broken, sums, unstartable]\nengine: ${engine}\nepochs: 2\n`,
    );
    const whole = await train(folder, 'whole', '--micro-batch-size', '3');
    t.is(whole.code, 0, whole.stderr);
    t.regex(whole.stdout, /method +I-JEPA: log-cosh \+ 0\.3 x projected/);
    t.regex(whole.stdout, /^step 4: observation 2$/m);
    t.is(
      whole.stdout.match(
        /the monitor 'broken' of the plugin mine failed: out of order \(\/.*mine\.mjs, line \d+\); the run goes on/g,
      )?.length,
      1,
    );
    t.is(whole.stdout.match(/the monitor 'unstartable' of the plugin mine failed: not today \(/g)?.length, 1);

    const args = ['pretrain', ...TINY, '--config', 'c.yaml', '--out', 'stopped', '--micro-batch-size', '3'];
    const stopped = await stoppedHere(args, join(folder, 'stopped'), 2, 'SIGTERM', folder);
    t.is(stopped.code, 143, stopped.stderr);
    const again = await ijepaHere(['pretrain', '--out', 'stopped', '--resume'], folder);
    t.is(again.code, 0, again.stderr);
    t.deepEqual(await latest(folder, 'stopped'), await latest(folder, 'whole'));
    const monitored = (run: string) =>
      rowsOf(folder, run).map(({ step, loss, monitors }) => ({ step, loss, monitors }));
    t.deepEqual(monitored('stopped'), monitored('whole'));

    const observed = monitored('whole').filter(({ monitors }) => monitors !== null);
    t.deepEqual(
      observed.map(({ step }) => step),
      [4, 6],
    );
    const sums = rowsOf(folder, 'whole').at(-1)?.monitors?.sums;
    t.is(sums?.count, 3);
    const table = readFileSync(join(folder, 'whole', 'log.csv'), 'utf8')
      .trimEnd()
      .split('\n');
    t.true(table[0]?.endsWith(',featureStd,featureRank,monitors.broken.none,monitors.sums.sum,monitors.sums.count'));
    t.true(table.at(-1)?.endsWith(`,,${sums?.sum},3`));
    const { height } = await sharp(join(folder, 'whole', 'curves.png')).metadata();
    t.is(height, (await sharp(join(folder, 'stopped', 'curves.png')).metadata()).height);
    const record = readFileSync(join(folder, 'whole', 'config.yaml'), 'utf8');
    t.regex(record, /^loss: log-cosh$/m);
    t.regex(record, /broughtBy:\n {4}loss log-cosh: mine\n {4}regularizer projected: mine/);
  },
);

async function refused(t: ExecutionContext, ended: Promise<EndedHere>, message: RegExp): Promise<void> {
  const { code, stderr } = await ended;
  t.is(code, 2, stderr);
  t.regex(stderr, message);
  t.notRegex(stderr, /\n {4}at /, 'a message, not a stack');
}

test.serial('objectives and monitors that do not exist are refused with the nearest and all names', async (t) => {
  const folder = await folderWith(t, 'monitors: [sum]\n');
  const losses =
    /unknown loss 'logcosh' in the command line[\s\S]*one of l2, smooth-l1, log-cosh, late-nan, shape[\s\S]*did you mean 'log-cosh'/;
  await refused(t, train(folder, 'run', '--loss', 'logcosh'), losses);
  const regularizers =
    /unknown regularizer 'vicregg'[\s\S]*one of none, vicreg, sigreg, isotropy, projected[\s\S]*did you mean 'vicreg'/;
  await refused(t, ijepaHere(['config', '--config', 'c.yaml', '--regularizer', 'vicregg'], folder), regularizers);
  const monitors =
    /unknown monitor 'sum' in .*c\.yaml[\s\S]*one of collapse, spectrum, sums, broken, unstartable[\s\S]*did you mean 'sums'/;
  await refused(t, train(folder, 'run'), monitors);
  t.false(existsSync(join(folder, 'run')), 'nothing was made');
});

test.serial('a loss that cannot work is named with its plugin, before a run is made where that can be', async (t) => {
  const folder = await folderWith(t, 'engine: wasm\nepochs: 1\n');
  const shape = /the loss 'shape' of the plugin mine gave a tensor of float32\[2,3\] instead of a scalar/;
  await refused(t, train(folder, 'shape', '--loss', 'shape'), shape);
  t.false(existsSync(join(folder, 'shape')));
  const late =
    /step 1 did not give finite numbers[\s\S]*not finite are the values of the loss 'late-nan' of the plugin mine/;
  await refused(t, train(folder, 'late', '--loss', 'late-nan'), late);
});

test.serial(
  'a run whose plugin is gone does not go on; with the plugin elsewhere and other monitors it does',
  async (t) => {
    const folder = await folderWith(t, `${OBJECTIVE}monitors: []\nengine: wasm\nepochs: 1\n`);
    t.is((await train(folder, 'run')).code, 0);
    const rows = rowsOf(folder, 'run');
    t.false(rows.some((row) => 'monitors' in row));
    t.true(Number(rows.at(-1)?.featureRank) >= 1, 'the spread is logged without monitors, too');
    await rename(join(folder, 'mine.mjs'), join(folder, 'moved.mjs'));
    const resume = ['pretrain', '--out', 'run', '--resume'];
    await refused(
      t,
      ijepa(resume, folder), // this process has loaded the plugin
      /was started with the loss log-cosh of the plugin mine, which is not there[\s\S]*mine\.mjs/,
    );
    await writeFile(join(folder, 'there.yaml'), 'plugins: [./moved.mjs]\nmonitors: [sums]\n');
    const again = await ijepaHere([...resume, '--config', 'there.yaml'], folder);
    t.is(again.code, 0, again.stderr);
    t.regex(readFileSync(join(folder, 'run', 'config.yaml'), 'utf8'), /monitors:\n {2}- sums[\s\S]*monitor sums: mine/);
  },
);
