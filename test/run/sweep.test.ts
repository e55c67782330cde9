import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { SILENT } from '../../core/base/console.js';
import { UserError } from '../../core/base/errors.js';
import { openLabelled } from '../../core/eval/labelled-data.js';
import { METHODS } from '../../core/methods/registry.js';
import { checkNames, readSweepFile } from '../../core/run/sweep/file.js';
import { planSweep } from '../../core/run/sweep/make-plan.js';
import { askedOf, plannedRuns, sameSweep } from '../../core/run/sweep/plan.js';
import { trialsOf } from '../../core/run/sweep/trials.js';
import { BUILT_IN_PLUGINS } from '../../plugins/index.js';
import { temporaryFolder } from '../helpers/command.js';

const LENGTH = { epochs: null, totalSteps: 1, secondsPerStep: null };
const PROBE = 'probe: { data: shapes:16 }';

async function sweepOf(t: ExecutionContext, ...lines: string[]) {
  const path = join(await temporaryFolder(t), 'sweep.yaml');
  await writeFile(path, [PROBE, ...lines].join('\n'));
  return readSweepFile(path);
}

test('variants change last and the last option of a grid first; each meets the same draws', async (t) => {
  const trials = trialsOf(
    await sweepOf(
      t,
      'variants: [{ name: small, dim: 16, depth: 1 }, { dim: 32 }]',
      'grid: { learningRate: [1e-3, 3e-3], flip: [true, false] }',
      'random: { trials: 2, weightDecay: [0, 1] }',
    ),
  );
  const drawn = trials.slice(0, 2).map(({ values }) => values.weightDecay);
  t.deepEqual(
    trials.map(({ values: { dim, learningRate, flip, weightDecay } }) => [dim, learningRate, flip, weightDecay]),
    [16, 32].flatMap((dim) =>
      [0.001, 0.003].flatMap((rate) => [true, false].flatMap((flip) => drawn.map((decay) => [dim, rate, flip, decay]))),
    ),
  );
  t.deepEqual(trials[0], {
    name: `small_learningRate-0.001_flip-true_weightDecay-${drawn[0]}`,
    title: `small, learningRate 0.001, flip true, weightDecay ${drawn[0]}`,
    values: { dim: 16, depth: 1, learningRate: 0.001, flip: true, weightDecay: drawn[0] },
  });
});

test('draws keep to what was asked, come again, and stay where trials or options are added', async (t) => {
  const options =
    'learningRate: { log: [1e-4, 1e-2] }, depth: { ints: [1, 3] }, ema: [0.99, 0.998], loss: { choice: [l2, smooth-l1] }';
  const valuesOf = async (random: string) =>
    trialsOf(await sweepOf(t, `random: { ${random} }`)).map(({ values }) => values);
  const drawn = await valuesOf(`trials: 200, ${options}`);
  t.deepEqual(await valuesOf(`trials: 200, ${options}`), drawn);
  t.deepEqual(
    await valuesOf(`trials: 10, dim: { ints: [1, 9999] }, ${options}`).then((all) =>
      all.map(({ dim: _, ...values }) => values),
    ),
    drawn.slice(0, 10),
  );
  t.notDeepEqual(await valuesOf(`trials: 200, seed: 1, ${options}`), drawn);
  const of = (name: string) => drawn.map((values) => values[name] as number);
  t.true(of('learningRate').every((rate) => rate >= 1e-4 && rate <= 1e-2));
  const below = of('learningRate').filter((rate) => rate < 1e-3).length; // the middle of the logarithms
  t.true(below > 70 && below < 130, String(below));
  t.true(of('ema').every((ema) => ema >= 0.99 && ema <= 0.998));
  t.deepEqual([...new Set(of('depth'))].sort(), [1, 2, 3]);
  t.deepEqual([...new Set(of('loss'))].length, 2);
});

test('names of folders are safe, short and different', async (t) => {
  const long = 'x'.repeat(200);
  const names = trialsOf(
    await sweepOf(
      t,
      `grid: { initFrom: [a/b, "a:b", ../c, ${long}1, ${long}2, ä, ö], cropScale: [[0.2, 1], [0.5, 1]] }`,
    ),
  ).map(({ name }) => name);
  t.is(new Set(names.map((name) => name.toLowerCase())).size, 14);
  for (const name of names) t.regex(name, /^\w[\w.+-]{0,79}$/);
});

test('a run has the options of base, variant, grid and preset, and a seed and folder of its own', async (t) => {
  const file = await sweepOf(
    t,
    'base: { data: [shapes:64], epochs: 2, depth: 3 }',
    'grid: { preset: [cpu-small-ijepa, cpu-small-mae], learningRate: [0.1] }',
    'seeds: 2',
  );
  const runs = plannedRuns(file, METHODS, 'out', (name) =>
    name.includes('mae') ? LENGTH : { ...LENGTH, epochs: 7, totalSteps: 9 },
  );
  t.deepEqual(
    runs.map(({ seed, out, totalSteps, resolved: { options } }) => [
      ...[seed, out, totalSteps],
      ...[options.seed, options.method, options.depth, options.learningRate, options.epochs],
    ]),
    [0, 1].flatMap((seed) => [
      [seed, join('out', `preset-cpu-small-ijepa_learningRate-0.1_seed-${seed}`), 9, seed, 'ijepa', 3, 0.1, 7],
      [seed, join('out', `preset-cpu-small-mae_learningRate-0.1_seed-${seed}`), 1, seed, 'mae', 3, 0.1, 2],
    ]),
  );
});

test('trials start from random weights, not from those of their preset, unless the file names some', async (t) => {
  const starts = async (base: string) => {
    const file = await sweepOf(t, `base: { data: [shapes:64], preset: cpu-small${base} }`, 'grid: { depth: [2, 3] }');
    return plannedRuns(file, METHODS, 'out', () => LENGTH).map(({ resolved }) => resolved.options.initFrom);
  };
  t.deepEqual(await starts(''), [null, null]);
  t.deepEqual(await starts(', initFrom: runs/a'), ['runs/a', 'runs/a']);
});

test('what is wrong with a file is told in one message, with its place', async (t) => {
  const grid = 'grid: { learningRate: [0.1] }';
  for (const [lines, message] of [
    [[], /sweep\.yaml varies nothing/],
    [['grid: { learningRate: [] }'], /grid\.learningRate in \S+sweep\.yaml cannot be \[\]/],
    [['grid: { learningRate: 0.1 }'], /grid\.learningRate in \S+ cannot be 0\.1\n {2}expected: a list of values/],
    [
      ['grid: { learningrate: [0.1] }'],
      /unknown option 'learningrate' in grid of \S+[\s\S]*did you mean 'learningRate'/,
    ],
    [['base: { epoch: 1 }', grid], /unknown option 'epoch' in base of[\s\S]*did you mean 'epochs'/],
    [['base: [1]', grid], /base in \S+ cannot be \[1\]/],
    [['grids: {}'], /unknown entry 'grids' in[\s\S]*did you mean 'grid'/],
    [['random: { learningRate: [0, 1] }'], /random\.trials is missing/],
    [['random: { trials: 2 }'], /random in \S+ cannot be/],
    [['random: { trials: 2, learningRate: 0.1 }'], /random\.learningRate in \S+ cannot be 0\.1/],
    [['random: { trials: 2, learningRate: [1, 0] }'], /random\.learningRate in \S+ cannot be \[1,0\]/],
    [['random: { trials: 2, learningRate: { log: [0, 1] } }'], /random\.learningRate\.log in/],
    [['random: { trials: 2, depth: { ints: [1, 2.5] } }'], /random\.depth\.ints in/],
    [[grid, 'seeds: 0'], /seeds in \S+ cannot be 0/],
    [['grid: { seed: [1, 2] }'], /seed cannot stand in grid of[\s\S]*write seeds: N/],
    [['base: { out: runs }', grid], /out cannot stand in base of/],
    [[grid, 'random: { trials: 2, learningRate: [0, 1] }'], /learningRate is varied twice in/],
    [['grid: { learningRate: [1, 1.0] }'], /asks for learningRate 1 twice/],
    [['variants: [{ name: Thin, dim: 16 }, { name: thin, dim: 32 }]'], /asks for thin twice[\s\S]*capital letters/],
    [['grid: { learningRate: [fast] }'], /learningRate \(--learning-rate\) in \S+ cannot be "fast"/],
    [['grid: { preset: [1] }'], /preset in \S+ is not a name/],
    [['variants: [{ method: mae, decoderDim: 16 }, { method: ijepa, decoderDim: 8 }]'], /decoderDim/],
    [['random: { trials: 1001, learningRate: [0, 1] }'], /asks for 1001 trials/],
    [['probe: { data: shapes, measure: best }'], /it has probe twice/],
  ] as const) {
    const error = await t.throwsAsync(
      async () => {
        const file = await sweepOf(t, ...lines);
        checkNames(file, METHODS);
        plannedRuns(file, METHODS, 'out', () => LENGTH);
      },
      { instanceOf: UserError },
      lines.join('; '),
    );
    t.regex(error?.report ?? '', message);
  }
});

test('a sweep goes on with the file that it was begun with, however it is laid out', async (t) => {
  const file = await sweepOf(
    t,
    'base: { data: [shapes:64], depth: 2 }',
    'grid: { learningRate: [1e-3, 3e-3], ema: [0.9] }',
  );
  const plan = { asked: JSON.parse(JSON.stringify(askedOf(file))), budget: '1m' };
  const same = await sweepOf(
    t,
    ...['# the same', 'grid:', '  ema: [0.90]', '  learningRate: [0.001, 0.003]', 'seeds: 1'],
    'base: { depth: 2, data: [shapes:64] }',
  );
  const goesOn = sameSweep(same, '60s', plan);
  t.deepEqual({ ...goesOn, path: file.path }, file);
  t.is(goesOn.path, same.path);
  t.deepEqual(trialsOf(goesOn), trialsOf(file), 'folders have the names that they had');
  t.notDeepEqual(trialsOf(same), trialsOf(file));
  for (const rates of ['1e-3, 4e-3', '3e-3, 1e-3']) {
    const other = await sweepOf(
      t,
      'base: { data: [shapes:64], depth: 2 }',
      `grid: { learningRate: [${rates}], ema: [0.9] }`,
    );
    const error = t.throws(() => sameSweep(other, null, plan), { instanceOf: UserError });
    t.regex(error?.report ?? '', /grid in \S+ is not what the sweep was begun with\n {2}expected: grid: .*0\.003/);
  }
  const shorter = t.throws(() => sameSweep(same, '30s', plan), { instanceOf: UserError });
  t.regex(shorter?.report ?? '', /--budget cannot change when a sweep goes on: it was 1m, and now is 30s/);
});

test('a budget becomes as many epochs of each trial as fit, and contradicts epochs', async (t) => {
  const base =
    'base: { method: mae, data: [shapes:12], imageSize: 16, patchSize: 4, dim: 16, heads: 2, batchSize: 4, engine: wasm';
  const plan = async (more: string, budget: string | null = '10h') => {
    const file = await sweepOf(t, `${base}${more} }`, 'grid: { depth: [1, 2] }');
    const opened = await openLabelled(
      'shapes:12',
      BUILT_IN_PLUGINS.flatMap(({ dataSets = [] }) => dataSets),
    );
    const stop = { received: null, aborted: new AbortController().signal, release: () => {} };
    const around = { methods: METHODS, plugins: BUILT_IN_PLUGINS, out: 'out', console: SILENT, stop };
    return planSweep(file, budget, opened, around);
  };
  const planned = await plan('');
  t.deepEqual(Object.keys(planned?.lengths ?? {}), ['depth-1', 'depth-2']);
  for (const { epochs, totalSteps, secondsPerStep } of Object.values(planned?.lengths ?? {})) {
    t.is(epochs, Math.floor(36_000 / ((secondsPerStep ?? 0) * 3)));
    t.is(totalSteps, 3 * (epochs ?? 0));
  }
  const error = await t.throwsAsync(() => plan(', epochs: 2'), { instanceOf: UserError });
  t.regex(error?.report ?? '', /--budget and epochs in \S+ contradict one another/);
  const seen = await t.throwsAsync(() => plan(', imagesSeen: 25'), { instanceOf: UserError });
  t.regex(seen?.report ?? '', /--budget and imagesSeen in \S+ contradict one another/);
  const both = await t.throwsAsync(() => plan(', imagesSeen: 25, epochs: 2', null), { instanceOf: UserError });
  t.regex(both?.report ?? '', /epochs and imagesSeen in \S+ both say how long the trial depth 1 is/);
  const lengths = Object.values((await plan(', imagesSeen: 25', null))?.lengths ?? {});
  t.deepEqual(lengths, Array(2).fill({ epochs: 2, totalSteps: 6, secondsPerStep: null }));
});
