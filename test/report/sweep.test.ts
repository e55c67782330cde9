import test from 'ava';
import type { Probed } from '../../core/report/judged-rows.js';
import { bestTrial, type Sweep, sweepRows, sweepTable } from '../../core/report/sweep.js';
import { tableCsv, tableMarkdown } from '../../core/report/table-formats.js';

const probed = (logistic: number, neighbours: number): Probed => ({
  ...{ logistic, features: 'last', neighbours, k: 20 },
  ...{ pooling: 'average pooling', arch: 'ViT 128x6/8', architecture: 'plain' },
});

/** Four trials with two seeds: one failed once, one always, one is not yet begun. */
function sweep(more: Partial<Sweep> = {}): Sweep {
  const run = (name: string, seed: number, logistic: number, neighbours: number) => ({
    ...{ name, seed, epochs: 3, seconds: 10, verdicts: {} },
    probed: probed(logistic, neighbours),
  });
  const names = ['low', 'high', 'torn', 'hot', 'later'];
  return {
    dataSet: 'shapes',
    data: { train: 'training shapes', test: 'test shapes', classes: 8, trainImages: 400, testImages: 100 },
    seeds: 2,
    measure: 'logistic',
    trials: names.map((name) => ({ name, title: `The ${name}`, values: {}, epochs: 3, objective: 'an objective' })),
    engine: { name: 'wasm', version: '1', device: 'CPU', threads: 1 },
    runs: [
      run('low', 0, 40, 50),
      run('high', 0, 50, 30),
      run('torn', 0, 90, 90),
      run('low', 1, 44, 50),
      run('high', 1, 54, 30),
    ],
    failed: [
      { name: 'hot', seed: 0, reason: 'the loss is NaN' },
      { name: 'torn', seed: 1, reason: 'no memory' },
      { name: 'hot', seed: 1, reason: 'the loss is NaN' },
    ],
    random: [
      { seed: 0, probed: probed(42, 20) },
      { seed: 1, probed: probed(46, 20) },
    ],
    pixels: { ...probed(0, 31), logistic: null, pooling: 'pixels', architecture: '' },
    ...more,
  };
}

test('trials are sorted by the mean of the measure, those that failed last, with their reasons', (t) => {
  const rows = sweepRows(sweep());
  t.deepEqual(
    rows.map(({ title, logistic, gain }) => [title, logistic?.value, logistic?.deviation, gain]),
    [
      ['The high', 52, Math.SQRT2 * 2, 8],
      ['The low', 42, Math.SQRT2 * 2, -2],
      ['The torn', 90, null, 48], // above random weights of its own seed
      ['The hot', undefined, undefined, null],
      ['random initialisation', 44, Math.SQRT2 * 2, null],
      ['raw pixels', undefined, undefined, null],
    ],
  );
  t.regex(rows[2]?.note ?? '', /1 of 2 seeds; seed 1 failed: no memory/);
  t.regex(rows[3]?.note ?? '', /0 of 2 seeds; seed 0 failed: the loss is NaN; seed 1 failed: the loss is NaN/);
  t.is(bestTrial(sweep()), 'high');
  t.is(bestTrial(sweep({ measure: 'neighbours' })), 'low');
  t.is(bestTrial(sweep({ runs: [] })), null);
});

test('the table tells what failed, and by what it is sorted', (t) => {
  const markdown = tableMarkdown(sweepTable(sweep()));
  t.regex(markdown, /\*\*The torn \\\[3\\\]\*\*.*\*\*failed \(1 of 2\)\*\*/);
  t.regex(markdown, /\*\*The hot \\\[4\\\]\*\*.*\*\*failed\*\*/);
  t.regex(markdown, /sorted by logistic regression/);
  const [head, first] = tableCsv(sweepTable(sweep())).split('\r\n');
  t.regex(head ?? '', /^Table,Group,Source,Trial,/);
  t.regex(first ?? '', /,The high,.*,52,/);
});
