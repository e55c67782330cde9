import test from 'ava';
import {
  alignLines,
  panelsOf,
  shown,
  smoothed,
  spread,
  titleOf,
  valueAt,
  zoomed,
} from '../../core/report/page/chart-data.js';
import { bytesOf, heat, neighbourPatch, signedBytesOf, similarities } from '../../core/report/page/tokens.js';

const curve = (name: string, steps: number[], values: number[]) => ({ name, steps, values });

test('the same column of several runs is one chart, over the steps of all', (t) => {
  const panels = panelsOf([
    {
      name: 'a',
      curves: [curve('speed/x', [1], [9]), curve('rates/learningRate', [1], [1]), curve('loss', [1, 2], [3, 0])],
    },
    { name: 'b', curves: [curve('loss', [2, 4], [5, 6]), curve('method/own', [1], [2])] },
  ]);
  t.deepEqual(
    panels.map(({ name }) => name),
    ['loss', 'method/own', 'rates/learningRate', 'speed/x'],
  );
  const { lines } = panels[0];
  t.deepEqual(alignLines(lines, false), {
    steps: [1, 2, 4],
    values: [
      [3, 0, null],
      [null, 5, 6],
    ],
  });
  t.deepEqual(alignLines(lines, true).values[0], [3, null, null], 'a logarithmic axis has no place for 0');
  t.deepEqual(
    [0, 1, 2, 3, 9].map((step) => valueAt(lines[1].curve, step)),
    [null, null, 5, 5, 6],
  );
  t.is(titleOf('rates/emaDecay'), 'EMA decay');
  t.is(titleOf('monitors/watcher/meanDistance'), 'watcher: mean distance');
});

test('a smoothed curve is a weighted mean of what was logged before, from its first value on', (t) => {
  const values = [4, -2, 7, 1];
  const weight = 0.6;
  // The same by its definition: weights w^0, w^1, ... back from each step, divided by their sum.
  const expected = values.map((_, at) => {
    const before = values.slice(0, at + 1).reverse();
    const sum = (of: (age: number) => number) => before.reduce((total, _, age) => total + of(age), 0);
    return sum((age) => weight ** age * (before[age] ?? 0)) / sum((age) => weight ** age);
  });
  const found = smoothed(curve('loss', [1, 2, 5, 6], values), weight);
  t.deepEqual(found.steps, [1, 2, 5, 6]);
  for (const [at, value] of found.values.entries()) t.true(Math.abs(value - (expected[at] ?? 0)) < 1e-12);
  t.is(found.values[0], 4);
  const flat = smoothed(curve('rates/weightDecay', [1, 2, 3], [0.05, 0.05, 0.05]), 0.6).values;
  t.deepEqual(flat, [0.05, 0.05, 0.05], 'without errors of rounding, which would fill the axis');
});

test('zooming keeps the step in its place and stays within limits', (t) => {
  t.deepEqual(zoomed([0, 100], 20, 0.5, [0, 100]), [10, 60]);
  t.deepEqual(zoomed([10, 60], 20, 2, [0, 100]), [0, 100]);
  t.deepEqual(zoomed([90, 100], 100, 2, [0, 100]), [80, 100]);
  t.deepEqual(zoomed([5, 6], 5, 0.5, [0, 100]), [5, 7], 'two steps at least');
});

test('numbers are told shortly, rows spread evenly', (t) => {
  t.deepEqual([0, 1 / 3, 1e-6, 123456, 1.5e9, Number.NaN, null].map(shown), [
    '0',
    '0.3333',
    '1e-6',
    '123500',
    '1.5e9',
    '–',
    '–',
  ]);
  t.deepEqual(spread(3, 5), [0, 1, 2]);
  t.deepEqual(spread(9, 5), [0, 2, 4, 6, 8]);
});

test('tokens are compared by their angle, whatever their length', (t) => {
  const base64 = Buffer.from(new Int8Array([100, 0, 50, 0, -3, 0, 0, 7, 0, 0]).buffer).toString('base64');
  const tokens = signedBytesOf(base64);
  t.deepEqual([...tokens.subarray(0, 5)], [100, 0, 50, 0, -3]);
  t.deepEqual([...similarities(tokens, 2, 0)], [1, 1, -1, 0, 0]);
  t.deepEqual([...bytesOf('AP8=')], [0, 255]);
});

test('arrow keys stay on the grid, colours go from dark to light', (t) => {
  const from = (patch: number, ...keys: string[]) => keys.reduce((at, key) => neighbourPatch(at, 3, key), patch);
  t.is(from(4, 'ArrowUp', 'ArrowUp', 'ArrowLeft', 'ArrowLeft'), 0);
  t.is(from(4, 'ArrowDown', 'End', 'ArrowRight', 'x'), 8);
  t.deepEqual(
    [heat(-1), heat(0), heat(1), heat(2)],
    [
      [0, 32, 77],
      [0, 32, 77],
      [255, 234, 70],
      [255, 234, 70],
    ],
  );
});
