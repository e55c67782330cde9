import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { findMonitorFaults } from '../../core/check/monitor.js';
import { checkpointMetadata, copyState, loadCheckpoint } from '../../core/checkpoint/checkpoint.js';
import { writeSafetensors } from '../../core/checkpoint/safetensors.js';
import { startEngine } from '../../core/engine/start.js';
import type { Monitor, MonitorInput } from '../../core/plugin.js';
import { Monitors, type Verdicts } from '../../core/run/monitors.js';
import { parseWatchMemory } from '../../core/run/watch.js';
import collapse from '../../plugins/collapse/index.js';
import spectrum from '../../plugins/spectrum/index.js';
import { temporaryFolder } from '../helpers/command.js';
import { TINY_MODEL, tinyShapes, tinyState } from '../helpers/tiny-state.js';

const RUN = { seed: 0, totalSteps: 100, images: [{ name: 'a' }, { name: 'b' }], width: 2, fixedTargets: false };

function input(step: number, features: number[] = [1, 2, 3, 4]): MonitorInput {
  return { step, loss: null, features: Float32Array.from(features), std: 1, rank: 2 };
}

/** Monitors of a plugin, and what they report. */
function start(items: readonly Monitor[], remembered: Record<string, unknown> = {}, verdicts: Verdicts = {}) {
  const reports: string[] = [];
  const extensions = items.map((item) => ({ kind: 'monitor' as const, plugin: 'mine', item }));
  return {
    monitors: new Monitors(extensions, RUN, { monitors: remembered, verdicts }, (message) => reports.push(message)),
    reports,
  };
}

/** A monitor that sums up what it observed. */
const total: Monitor<{ total: number }> = {
  name: 'total',
  summary: 'sum of all features so far',
  values: ['total'],
  start: () => ({
    observe({ features }, memory) {
      const sum = features.reduce((a, b) => a + b, memory?.total ?? 0);
      return { values: { total: sum }, memory: { total: sum } };
    },
  }),
};

/** A monitor that does what a function says. */
const monitor = (observe: (input: MonitorInput, memory: unknown) => unknown, values = ['value']): Monitor => ({
  name: 'odd',
  summary: 'of a test',
  values,
  start: () => ({ observe: observe as ReturnType<Monitor['start']>['observe'] }),
});

test('interrupted wherever it may be, a run goes on to see what it would have seen', async (t) => {
  const observations = fc.array(
    fc.array(fc.float({ noNaN: true, min: -10, max: 10 }), { minLength: 4, maxLength: 4 }),
    {
      minLength: 1,
      maxLength: 8,
    },
  );
  await fc.assert(
    fc.asyncProperty(observations, fc.nat(8), async (features, place) => {
      const follow = async (restartBefore: number) => {
        let { monitors } = start([total]);
        const values: unknown[] = [];
        for (const [at, part] of features.entries()) {
          if (at === restartBefore) ({ monitors } = start([total], JSON.parse(JSON.stringify(monitors.memories))));
          values.push(await monitors.observe(input(at, part)));
        }
        return values;
      };
      t.deepEqual(await follow(place), await follow(-1));
    }),
    { numRuns: 50 },
  );
});

test('a monitor that fails is reported once; the others see what there is, and its memory stays', async (t) => {
  const fails = monitor(({ step }) => {
    if (step % 2 === 1) throw new Error('odd step');
    return { values: { value: step }, memory: step };
  });
  const { monitors, reports } = start([fails, total]);
  const values = [];
  for (const step of [0, 1, 2, 3]) values.push(await monitors.observe(input(step)));
  t.deepEqual(
    values.map(({ odd, total }) => [odd?.value, total?.total]),
    [
      [0, 10],
      [null, 20],
      [2, 30],
      [null, 40],
    ],
  );
  t.is(reports.length, 1);
  t.regex(reports[0] ?? '', /^the monitor 'odd' of the plugin mine failed: odd step \(.*, line \d+\); the run goes on/);
  t.deepEqual(monitors.memories, { odd: 2, total: { total: 40 } });
});

test('the last verdict of each monitor of the run stays, also where it goes on', async (t) => {
  const judges = monitor(({ step }) => (step < 3 ? { verdict: { isWell: step < 2, text: `step ${step}` } } : {}), []);
  const before = { other: { isWell: true, text: 'of a monitor that does not observe any more' } };
  const { monitors } = start([judges, total], {}, before);
  t.deepEqual(monitors.verdicts, {});
  for (const step of [0, 1, 2, 3]) await monitors.observe(input(step));
  const odd = { isWell: false, text: 'step 2' };
  t.deepEqual(monitors.verdicts, { odd });
  t.deepEqual(start([judges], {}, monitors.verdicts).monitors.verdicts, { odd });
});

test('what a monitor gives is checked', async (t) => {
  const failure = async (report: unknown) => {
    const { monitors, reports } = start([monitor(() => report)]);
    t.deepEqual(await monitors.observe(input(0)), { odd: { value: null } });
    return reports.join('\n');
  };
  t.regex(await failure({ values: { value: Number.NaN } }), /values\.value/);
  t.regex(await failure({ values: { value: Number.POSITIVE_INFINITY } }), /values\.value/);
  t.regex(await failure({ values: { other: 1 } }), /its value 'other' is none of those that it names: value/);
  t.regex(await failure({ message: 3 }), /message/);
  t.regex(await failure({ verdict: { text: 'well' } }), /verdict\.isWell/);
  t.regex(await failure(undefined), /the whole/);
  t.regex(await failure({ memory: 1n }), /BigInt/);
  t.is(await failure({ message: 'all is well' }), 'all is well');
});

test('no monitor changes what others see, or its memory but by what it returns', async (t) => {
  const meddles = monitor(({ features }, memory) => {
    features.fill(0);
    if (memory) (memory as { count: number }).count++;
    return memory ? {} : { memory: { count: 1 } };
  });
  const { monitors, reports } = start([meddles, total]);
  await monitors.observe(input(0));
  const { total: after } = await monitors.observe(input(1));
  t.is(after?.total, 20);
  t.like(monitors.memories, { odd: { count: 1 } });
  t.deepEqual(reports, []);
});

test('checkpoints hold what monitors remember, and what is none is passed over', async (t) => {
  await startEngine('cpu');
  const path = join(await temporaryFolder(t), 'latest.safetensors');
  const first = { std: 0.5, rank: 3 };
  const verdicts = { total: { isWell: false, text: 'too much' } };
  const before = start(collapse.monitors);
  for (const [step, rank] of [10, 12, 1.1].entries()) await before.monitors.observe({ ...input(step), rank });
  t.regex(before.reports.join(), /step 2: the representations are collapsing/);
  const memory = { first, monitors: { ...before.monitors.memories, odd: [1, 'two', null] }, verdicts };
  const tensors = await copyState(tinyState(), null);
  const facts = { epoch: 1, data: 'shapes', model: TINY_MODEL };
  const remembered = async (what: unknown) => {
    await writeSafetensors(path, tensors, checkpointMetadata(0, { ...facts, memory: what }));
    return parseWatchMemory((await loadCheckpoint(path, TINY_MODEL, tinyShapes())).memory);
  };
  t.deepEqual(await remembered(memory), memory);
  for (const none of [null, 7, { first }, { ...memory, first: { std: 'x', rank: 1 } }])
    t.is(await remembered(none), null);
  const { monitors, reports } = start(collapse.monitors, (await remembered(memory))?.monitors);
  await monitors.observe({ ...input(5), rank: 11 });
  t.regex(reports.join(), /step 5: the representations have recovered/, 'it remembers that it has warned');
});

test('the monitor of the spectrum tells the rank of centred features, and their exponent where there is a tail', async (t) => {
  const [monitor] = spectrum.monitors;
  t.deepEqual(await findMonitorFaults(monitor), []);
  const valuesOf = async (rows: number, width: number, value: (row: number, column: number) => number) => {
    const features = Array.from({ length: rows * width }, (_, at) => value(Math.floor(at / width), at % width));
    const images = Array.from({ length: rows }, (_, at) => ({ name: `${at}` }));
    const report = await monitor.start({ ...RUN, images, width }).observe(input(0, features), null);
    return report.values ?? {};
  };
  // Two pictures: one direction once their mean is gone.
  const two = await valuesOf(2, 2, (row, column) => 5 + row * column);
  t.deepEqual(Object.keys(two), ['rankCentred']);
  t.true(Math.abs((two.rankCentred ?? 0) - 1) < 1e-6);
  // ±k^-1 along each of 8 directions: eigenvalues fall as k^-2.
  const scaled = (row: number, column: number) => (row % 8 === column ? (row < 8 ? 1 : -1) / (column + 1) : 0);
  t.true(Math.abs(((await valuesOf(16, 8, scaled)).alphaReq ?? 0) - 2) < 1e-5);
});
