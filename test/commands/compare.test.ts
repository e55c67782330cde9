import { existsSync, readFileSync, statSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import sharp from 'sharp';
import { readDuration } from '../../core/base/console.js';
import { UserError } from '../../core/base/errors.js';
import { METHODS as REGISTRY } from '../../core/methods/registry.js';
import type { Asked } from '../../core/run/compare/plan.js';
import { runOptions, type Surroundings } from '../../core/run/compare/run-options.js';
import { epochsWithin } from '../../core/run/trials/calibrate.js';
import { ijepaHere, temporaryFolder } from '../helpers/command.js';

/** Those that compute least at their small presets. */
const METHODS = ['lejepa', 'mae'];
const TINY = [
  ...['--methods', METHODS.join(), '--data', 'shapes:12'],
  ...'--image-size 16 --patch-size 4 --dim 16 --depth 1 --heads 2 --batch-size 4 --engine wasm'.split(' '),
];
const compareIn = (out: string, ...more: string[]) => ijepaHere(['compare', ...TINY, '--out', out, ...more]);
const seed0 = ['--seeds', '1', '--epochs', '1'];

/** What a comparison measured, without the time that it took. */
async function factsOf(out: string) {
  return JSON.parse(await readFile(join(out, 'compare.json'), 'utf8'), (name, value) =>
    name === 'seconds' ? null : value,
  );
}

test('all methods start from random weights, also those whose preset names others', (t) => {
  const asked = { imageSize: 32, patchSize: 8, dim: 128, depth: 2, heads: 4, batchSize: 128 };
  const surroundings = {
    methods: REGISTRY,
    plugins: [],
    trainingData: 'shapes:64',
    running: {} as Surroundings['running'],
  };
  for (const method of REGISTRY) {
    const run = { method, seed: 0, epochs: 10, out: 'out' };
    t.is(runOptions(asked as Asked, surroundings, run).options.initFrom, null, method.name);
  }
});

const weightsOf = (out: string, run: string) => readFileSync(join(out, run, 'checkpoints', 'latest.safetensors'));

test.serial('methods are trained and judged alike; a comparison that was stopped ends in the same', async (t) => {
  const folder = await temporaryFolder(t);
  const whole = join(folder, 'whole');
  const { code, stdout, stderr } = await compareIn(whole, '--seeds', '2', '--epochs', '1', '--json');
  t.is(code, 0, stderr);
  const { files, ...printed } = JSON.parse(stdout);
  t.deepEqual(printed, JSON.parse(await readFile(join(whole, 'compare.json'), 'utf8')));
  t.deepEqual(
    printed.runs.map(({ method, seed, epochs }: Record<string, unknown>) => [method, seed, epochs]),
    [0, 1].flatMap((seed) => METHODS.map((method) => [method, seed, 1])),
  );
  const names = ['LeJEPA', 'MAE', 'random initialisation', 'random initialisation', 'raw pixels'];
  t.deepEqual(
    printed.rows.map(({ title }: { title: string }) => title),
    names, // with MAE's class token the architecture is another one
  );
  for (const { method, logistic, neighbours } of printed.rows) {
    if (method === null) continue;
    const own = printed.runs.filter((run: { method: string }) => run.method === method);
    t.deepEqual(
      logistic.values,
      own.map(({ probed }: { probed: { logistic: number } }) => probed.logistic),
    );
    t.true(logistic.low <= logistic.value && logistic.value <= logistic.high && neighbours.value > 0);
  }
  t.regex(await readFile(files[1], 'utf8'), /### shapes, methods compared: 8 classes, 12 training and 64 test images/);
  t.true(((await sharp(files[2]).metadata()).height ?? 0) > 200);
  t.regex(stderr, /run 4 of 4, MAE, seed 1, epoch 1\/1 {2}step 3\/3 .* left, 0s of all runs/);
  t.deepEqual(
    (await readdir(whole)).filter((name) => name.endsWith('.lock')),
    [],
  );

  // Of one seed alone, stopped in the middle of the second run.
  const stopped = join(folder, 'stopped');
  const timer = setInterval(() => {
    const log = join(stopped, 'mae-0', 'log.jsonl');
    if (!existsSync(log) || statSync(log).size === 0) return;
    clearInterval(timer);
    process.emit('SIGINT', 'SIGINT');
  }, 2);
  const first = await compareIn(stopped, ...seed0);
  clearInterval(timer);
  t.is(first.code, 130, first.stderr);
  t.regex(first.stdout, /stopped; go on with: .* compare --out \S+stopped\n/);
  t.false(existsSync(join(stopped, 'compare.json')));
  const other = await compareIn(stopped, '--epochs', '3');
  t.is(other.code, 2);
  t.regex(other.stderr, /--epochs cannot change when a comparison goes on: it was 1, and now is 3/);
  const done = statSync(join(stopped, 'lejepa-0', 'log.jsonl')).mtimeMs;
  const second = await ijepaHere(['compare', '--out', stopped, '--engine', 'wasm']);
  t.is(second.code, 0, second.stderr);
  t.is(statSync(join(stopped, 'lejepa-0', 'log.jsonl')).mtimeMs, done, 'a complete run is left as it is');
  const [{ runs, random, pixels }, all] = [await factsOf(stopped), await factsOf(whole)];
  const ofSeed0 = ({ seed }: { seed: number }) => seed === 0;
  t.deepEqual(
    { runs, random, pixels },
    { runs: all.runs.filter(ofSeed0), random: all.random.filter(ofSeed0), pixels: all.pixels },
  );
  for (const run of ['lejepa-0', 'mae-0']) t.true(weightsOf(stopped, run).equals(weightsOf(whole, run)), run);

  // Once more: everything is known.
  const before = await readFile(join(stopped, 'compare.json'));
  t.is((await compareIn(stopped, ...seed0)).code, 0);
  t.true(before.equals(await readFile(join(stopped, 'compare.json'))));
});

test.serial('a budget becomes as many epochs as fit, which are fixed for all runs', async (t) => {
  const out = join(await temporaryFolder(t), 'out');
  const mae = TINY.map((word) => (word === METHODS.join() ? 'mae' : word));
  const { code, stdout, stderr } = await ijepaHere(['compare', ...mae, '--out', out, '--seeds', '1', '--budget', '1s']);
  t.is(code, 0, stderr);
  t.regex(stdout, /timed {6}MAE: \S+ s a step\ntimed {6}MAE: /);
  const { asked, methods, stepsPerEpoch } = JSON.parse(await readFile(join(out, 'plan.json'), 'utf8'));
  t.deepEqual([asked.budget, asked.epochs, stepsPerEpoch], ['1s', null, 3]);
  const [{ epochs, secondsPerStep }] = methods;
  t.is(epochs, Math.floor(1 / (secondsPerStep * stepsPerEpoch)));
  t.is((await factsOf(out)).runs[0].epochs, epochs);
});

test('times are read as people write them, and a budget for less than an epoch is refused', (t) => {
  t.deepEqual(['90s', '30m', '1h30m', '1.5h', '2d', '5m03s', '', '30', 'm', '1h 30m', '-1m'].map(readDuration), [
    90,
    1800,
    5400,
    5400,
    172_800,
    303,
    null,
    null,
    null,
    null,
    null,
  ]);
  t.is(epochsWithin('1m', 0.5, 50, 'MAE'), 2);
  const error = t.throws(() => epochsWithin('20s', 0.5, 50, 'MAE'), { instanceOf: UserError });
  t.regex(
    error?.report ?? '',
    /a budget of 20s is too small for one epoch of MAE: 50 steps[\s\S]*--budget 30s or more/,
  );
});

test.serial('what cannot be compared is told in one message, and nothing is written', async (t) => {
  const folder = await temporaryFolder(t);
  const out = join(folder, 'out');
  for (const [args, message] of [
    [[], /--methods, --data, --budget are missing, and --out holds no comparison/],
    [['--methods', 'mae', '--data', 'shapes:16'], /--budget is missing/],
    [['--epochs', '1', '--budget', '1m'], /--budget and --epochs contradict one another/],
    [['--budget', '30'], /--budget cannot be '30'\n {2}expected: a time above 0 with its unit/],
    [[...TINY, '--methods', 'mae,maee', '--epochs', '1'], /unknown method 'maee'[\s\S]*did you mean 'mae'/],
    [[...TINY, '--data', folder, '--epochs', '1'], /train\/CLASS and val\/CLASS/],
    [[...TINY, '--data', 'shapes:3', '--epochs', '1'], /a batch of 4 images is more than the 3 in shapes/],
    [
      [...TINY, '--patch-size', '16', '--image-size', '20', '--epochs', '1'],
      /20 pixels cannot be cut into patches of 16 pixels/,
    ],
    [[...TINY, '--heads', '3', '--epochs', '1'], /--dim 16 does not fit 3 heads/],
  ] as const) {
    const { code, stderr } = await ijepaHere(['compare', '--out', out, ...args]);
    t.is(code, 2, `${args.join(' ')}\n${stderr}`);
    t.regex(stderr, message);
    t.is(stderr.match(/^ijepa: /gm)?.length, 1, stderr);
    t.false(existsSync(out), args.join(' '));
  }
  const masks = await compareIn(out, '--methods', 'ijepa', '--patch-size', '8', ...seed0);
  t.regex(masks.stderr, /masks are impossible on a grid of 2x2 patches/);
  t.false(existsSync(join(out, 'plan.json')), 'it can be asked for otherwise in the same folder');
  const taken = await ijepaHere(['compare', ...TINY, '--epochs', '1', '--out', process.cwd()]);
  t.regex(taken.stderr, /is not empty and holds no comparison/);
});
