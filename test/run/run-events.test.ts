import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import sharp from 'sharp';
import { openRunEvents } from '../../core/run/run-events.js';
import { runFolder } from '../../core/run/run-folder.js';
import { readRunLog } from '../../core/run/run-log.js';
import { ijepa, ijepaHere, SMALLEST, temporaryFolder } from '../helpers/command.js';
import { readEvents, shownValues } from '../helpers/event-files.js';
import { stoppedHere, whenLogged } from '../helpers/faults.js';
import { logRow } from '../helpers/log-row.js';

const PICTURE = { create: { width: 3, height: 2, channels: 3, background: '#123456' } } as const;

/** The events of a run of 100 steps, in a folder with a configuration and pictures; and what they report. */
async function eventsIn(path: string, firstStep = 0) {
  const folder = runFolder(path);
  await writeFile(folder.config, 'epochs: 3\nseed: 0\n');
  for (const picture of [folder.masks, folder.curves]) await sharp(PICTURE).png().toFile(picture);
  const reports: string[] = [];
  const open = () => openRunEvents(folder, firstStep, 100, (message) => reports.push(message));
  return { folder, reports, open };
}

test('numbers of a step are grouped; what was not measured is left out, and zeros are not', async (t) => {
  const { folder, open } = await eventsIn(await temporaryFolder(t));
  const events = await open();
  events.addStep(logRow(1, { gradientNorm: 0, monitors: { sums: { all: 7, none: null } } }));
  events.addStep(logRow(2, { featureStd: 0, featureRank: 4, monitors: null }));
  events.close();
  const shown = shownValues(folder.tensorboard);
  const steps = Object.fromEntries([...shown].map(([tag, values]) => [tag, [...values.keys()]]));
  t.deepEqual(steps, {
    config: [1],
    masks: [1],
    epoch: [1, 2],
    loss: [1, 2],
    'terms/prediction': [1, 2],
    'rates/learningRate': [1, 2],
    'rates/weightDecay': [1, 2],
    'rates/ema': [1, 2],
    'method/contextPatches': [1, 2],
    'method/targetPatches': [1, 2],
    'method/targetStd': [1, 2],
    'gradients/norm': [1, 2],
    'features/std': [2],
    'features/rank': [2],
    'speed/imagesPerSecond': [1, 2],
    'speed/waitSeconds': [1, 2],
    'monitors/sums/all': [1],
  });
  const value = (tag: string, step: number) => shown.get(tag)?.get(step);
  t.deepEqual([value('gradients/norm', 1)?.simpleValue, value('features/std', 2)?.simpleValue], [0, 0]);
  t.is(value('config', 1)?.text, '    epochs: 3\n    seed: 0\n    ');
  const { width, height, png } = value('masks', 1)?.image ?? {};
  t.deepEqual([width, height], [3, 2]);
  t.deepEqual(png, await readFile(folder.masks));
});

test('curves are added ever more seldom, at the end too, and never twice for a step', async (t) => {
  const { folder, open } = await eventsIn(await temporaryFolder(t), 20);
  const events = await open();
  for (const step of [20, 21, 22, 23, 24, 40, 43, 44, 99, 100, 100]) await events.addCurves(step);
  events.close();
  const shown = shownValues(folder.tensorboard);
  t.deepEqual([...(shown.get('curves')?.keys() ?? [])], [21, 24, 40, 44, 99, 100]);
  t.deepEqual([...(shown.get('config')?.keys() ?? [])], [21]);
  t.false(shown.has('masks'), 'they are of the first step');
});

test('a picture that is damaged or missing is reported, and the run goes on', async (t) => {
  const { folder, reports, open } = await eventsIn(await temporaryFolder(t));
  await truncate(folder.masks, 9);
  const events = await open();
  await events.addCurves(1);
  await truncate(folder.curves, 0);
  await events.addCurves(2);
  events.close();
  t.deepEqual([...shownValues(folder.tensorboard).keys()], ['config', 'curves']);
  t.is(reports.length, 2);
  t.regex(reports.join(), /masks\.png is not shown by TensorBoard: .*,curves\.png is not shown/);
});

test.serial(
  'a run that was killed and goes on shows each step once, as its log does, even if the earlier file is damaged',
  async (t) => {
    const run = runFolder(join(await temporaryFolder(t), 'run'));
    const resume = (...more: string[]) => ijepaHere(['pretrain', '--out', run.path, '--resume', ...more]);
    const { signal } = await ijepa(
      ['pretrain', ...SMALLEST, '--epochs', '4', '--out', run.path],
      undefined,
      (child) => {
        child.on(
          'exit',
          whenLogged(run.path, 10, () => child.kill('SIGKILL')),
        );
      },
    );
    t.is(signal, 'SIGKILL');
    const [first = ''] = readdirSync(run.tensorboard);
    const bytes = await readFile(join(run.tensorboard, first));
    const killedAt = readEvents(bytes).at(-1)?.step ?? 0;
    t.true(killedAt >= 9 && killedAt < 24, `killed after ${killedAt}`); // the log has a step before they do
    await writeFile(join(run.tensorboard, first), Buffer.concat([bytes, bytes.subarray(0, 33)]));
    const { code, stderr } = await resume();
    t.is(code, 0, stderr);

    const shown = shownValues(run.tensorboard);
    const log = readRunLog(run);
    t.is(log.length, 24);
    const numbers = (tag: string) => [...(shown.get(tag) ?? [])].map(([step, { simpleValue }]) => [step, simpleValue]);
    const single = Math.fround;
    t.deepEqual(
      numbers('loss'),
      log.map(({ step, loss }) => [step, single(loss)]),
    );
    t.deepEqual(
      numbers('rates/emaDecay'),
      log.map(({ step, rates }) => [step, single(rates.emaDecay as number)]),
    );
    t.deepEqual(
      numbers('features/rank'),
      log.flatMap(({ step, featureRank }) => (featureRank === null ? [] : [[step, single(featureRank)]])),
    );
    t.deepEqual([...(shown.get('masks')?.keys() ?? [])], [1]);
    t.is([...(shown.get('curves')?.keys() ?? [])].at(-1), 24);

    const files = readdirSync(run.tensorboard);
    t.is(files.length, 2);
    t.is((await resume()).code, 0);
    t.deepEqual(readdirSync(run.tensorboard), files, 'nothing is left to do');
  },
);

test.serial(
  'a run without files for TensorBoard has none, also when it goes on, until they are asked for',
  async (t) => {
    const folder = runFolder(join(await temporaryFolder(t), 'run'));
    const stopped = ['pretrain', ...SMALLEST, '--epochs', '200', '--out', folder.path, '--no-tensorboard'];
    const pretrain = (args: string[], lines: number) => stoppedHere(args, folder.path, lines, 'SIGINT');
    const resume = ['pretrain', '--out', folder.path, '--resume'];
    t.is((await pretrain(stopped, 2)).code, 130);
    const before = readRunLog(folder).length;
    t.is((await pretrain(resume, before + 2)).code, 130);
    t.false(existsSync(folder.tensorboard));
    const steps = readRunLog(folder).length;
    t.true(steps > before);
    t.is((await pretrain([...resume, '--tensorboard'], steps + 2)).code, 130);
    t.is(shownValues(folder.tensorboard).get('loss')?.keys().next().value, steps + 1);
    t.regex(readFileSync(folder.config, 'utf8'), /^tensorboard: true$/m);
  },
);
