import test from 'ava';
import { accuracyOf, meanAccuracy } from '../../core/eval/accuracy.js';
import { type Comparison, comparisonRows, comparisonTable } from '../../core/report/comparison.js';
import type { Probed } from '../../core/report/judged-rows.js';
import { allNotes, tableMarkdown } from '../../core/report/table-formats.js';

const probed = (logistic: number, architecture = 'plain'): Probed => ({
  logistic,
  features: 'last',
  neighbours: logistic - 5,
  k: 20,
  pooling: architecture === 'plain' ? 'average pooling' : 'class token',
  arch: 'ViT 128x6/8',
  architecture,
});

/** Three methods with two seeds: one above random weights, one below that is well, one below that has collapsed once. */
function comparison(): Comparison {
  const run = (method: string, seed: number, logistic: number, isWell = true, architecture = 'plain') => ({
    method,
    seed,
    epochs: 3,
    seconds: 10 + seed,
    verdicts: { collapse: { isWell, text: isWell ? 'they differ' : 'they have collapsed' } },
    probed: probed(logistic, architecture),
  });
  const method = (name: string, title: string) => {
    return { name, title, objective: `that of ${title}`, epochs: 3, preset: null, secondsPerStep: 0.1 };
  };
  return {
    dataSet: 'shapes',
    data: { train: 'training shapes', test: 'test shapes', classes: 8, trainImages: 400, testImages: 100 },
    asked: { seeds: 2, budget: '12s', batchSize: 4 },
    stepsPerEpoch: 100,
    methods: [method('good', 'Good'), method('slow', 'Slow'), method('flat', 'Flat')],
    engine: { name: 'wasm', version: '1', device: 'CPU', threads: 1 },
    runs: [
      ...[run('good', 0, 50), run('slow', 0, 30, true, 'class'), run('flat', 0, 20)],
      ...[run('good', 1, 54), run('slow', 1, 32, true, 'class'), run('flat', 1, 22, false)],
    ],
    random: [
      { seed: 0, probed: probed(40) },
      { seed: 0, probed: probed(33, 'class') },
      { seed: 1, probed: probed(41) },
      { seed: 1, probed: probed(34, 'class') },
    ],
    pixels: { ...probed(0), logistic: null, neighbours: 31, pooling: 'pixels', architecture: '' },
  };
}

test('a mean over seeds has their standard deviation, and the interval of one accuracy on the images', (t) => {
  const { deviation, ...mean } = meanAccuracy([50, 54], 100);
  t.deepEqual(mean, { ...accuracyOf(52, 100), values: [50, 54] });
  t.true(Math.abs((deviation ?? 0) - Math.SQRT2 * 2) < 1e-12); // ((-2)² + 2²) / 1
  t.deepEqual(meanAccuracy([50], 100), { ...accuracyOf(50, 100), deviation: null, values: [50] });
});

test('each method stands beside random weights of its own architecture, and says if it is below', (t) => {
  const rows = comparisonRows(comparison());
  t.deepEqual(
    rows.map(({ title, pooling, logistic, neighbours, gain }) => [
      title,
      pooling,
      logistic?.value,
      neighbours?.value,
      gain,
    ]),
    [
      ['Good', 'average pooling', 52, 47, 11.5],
      ['Slow', 'class token', 31, 26, -2.5],
      ['Flat', 'average pooling', 21, 16, -19.5],
      ['random initialisation', 'average pooling', 40.5, 35.5, null],
      ['random initialisation', 'class token', 33.5, 28.5, null],
      ['raw pixels', 'pixels', undefined, 31, null],
    ],
  );
  const notes = rows.map(({ note }) => note);
  t.notRegex(notes[0] ?? '', /below/);
  t.regex(notes[1] ?? '', /below that on random weights, not collapsed: 3 epochs may be too few/);
  t.regex(notes[2] ?? '', /below that on random weights; see the verdict; seed 1: they have collapsed/);
  t.regex(notes[3] ?? '', /the encoder of Good, Flat,/);
  t.regex(notes[4] ?? '', /the encoder of Slow,/);
});

test('its table has mean, deviation, interval, time and verdict of each row; only trained rows can be the best', (t) => {
  const table = comparisonTable(comparison());
  const markdown = tableMarkdown(table).replaceAll('**', '');
  const { low, high } = accuracyOf(52, 100);
  const interval = `\\[${low.toFixed(1)}, ${high.toFixed(1)}\\]`;
  const line = (name: string) => markdown.split('\n').find((one) => one.startsWith(`| ${name}`)) ?? '';
  t.true(
    line('Good').includes(`| 52.0 ± 2.8* ${interval.replaceAll('\\', '\\')} |`) || line('Good').includes('52.0 ± 2.8'),
  );
  t.true(line('Good').includes(`${low.toFixed(1)}, ${high.toFixed(1)}`));
  t.regex(line('Good'), /\| average pooling \| 3 \| 11s \|.*\| \+11\.5 \| no collapse \|/);
  t.regex(line('Slow'), /-2\.5 \| no collapse, below random weights \|/);
  t.regex(line('Flat'), /-19\.5 \| collapse! \(1 of 2\) \|/);
  const best = table.groups.map(({ rows }) =>
    rows.flatMap(({ cells }) => cells.filter((cell) => cell && 'best' in cell && cell.best)),
  );
  t.deepEqual(
    best.map(({ length }) => length),
    [2, 0],
  );
  const notes = allNotes(table).join('\n');
  t.regex(notes, /on training shapes, judged on test shapes: .*batches of 4, and 12s of training for each run/);
  t.regex(notes, /Means over 2 seeds ± their standard deviation/);
  t.regex(
    allNotes(comparisonTable({ ...comparison(), asked: { seeds: 1, budget: null, batchSize: 4 } })).join('\n'),
    /One seed/,
  );
});
