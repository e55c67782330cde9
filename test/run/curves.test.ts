import test from 'ava';
import { drawCurves } from '../../core/run/curves.js';
import { scalarsOf } from '../../core/run/scalars.js';
import { logRow } from '../helpers/log-row.js';

const textsOf = (svg: string) => [...svg.matchAll(/<text[^>]*>([^<]*)</g)].map(([, words]) => words ?? '');

test('curves have axes from one round number to another, of steps and of values', (t) => {
  const rows = Array.from({ length: 100 }, (_, at) => logRow(at + 1, { gradientNorm: at === 50 ? 1.7 : 0.6 }));
  const texts = textsOf(drawCurves(rows));
  const loss = texts.slice(
    texts.indexOf('Loss and its terms'),
    texts.indexOf('Collapse: effective rank (RankMe), fixed images'),
  );
  t.deepEqual(
    loss.filter((words) => /^[\d.]+$/.test(words)),
    ['1', '20', '40', '60', '80', '100', '0', '0.2', '0.4', '0.6', '0.8', '1'],
  );
  const norm = texts.slice(texts.indexOf('Gradient norm'), texts.indexOf('Learning rate'));
  t.deepEqual(norm.filter((words) => /^[\d.]+$/.test(words)).slice(6), ['0.5', '1', '2']);
});

test('curves of any log can be drawn: one step, values that stay, vanish, explode or are none', (t) => {
  const rows = [
    [logRow(1)],
    [logRow(1, { loss: Number.NaN, gradientNorm: 0 }), logRow(2, { loss: Number.POSITIVE_INFINITY, gradientNorm: -1 })],
    [logRow(1, { gradientNorm: 1e-30 }), logRow(2, { gradientNorm: 1e30 })],
    [logRow(1, { rates: { learningRate: 0 }, loss: 0 }), logRow(2, { rates: { learningRate: 0 }, loss: -5e-324 })],
    [logRow(1, { loss: 1e300 }), logRow(2, { loss: -1e300 })],
    [logRow(1_000_000), logRow(2_000_000, { monitors: { 'a <b>': { '"x"&': 2, y: null } } })],
  ];
  for (const log of rows) {
    const svg = drawCurves(log);
    t.notRegex(svg, /NaN|Infinity|undefined/);
    t.true(svg.length < 60_000, String(svg.length));
    t.deepEqual(
      [...svg.matchAll(/="([^"]*)"/g)].filter(([, value]) => value?.includes('<')),
      [],
    );
  }
});

test('every number of a method has a panel of its own, under words for people; terms share that of the loss', (t) => {
  const numbers = {
    terms: { prediction: 1, regularizer: 2 },
    method: { contextPatches: 9 },
    rates: { learningRate: 1 },
  };
  const rows = [logRow(1, { ...numbers, monitors: { sums: { all: 1 } } }), logRow(2, { ...numbers, monitors: null })];
  const probe = { logistic: 50, neighbours: 40 };
  const probed = textsOf(drawCurves([logRow(1, { probe: null }), logRow(2, { probe })]));
  const at = probed.indexOf('Online probe: top-1 in percent');
  t.deepEqual(probed.slice(at + 1, at + 3), ['logistic regression', 'nearest neighbours']);
  t.deepEqual(
    scalarsOf(logRow(2, { probe, probeSeconds: 3 })).filter(([name]) => /probe/i.test(name)),
    [
      ['probe/logistic', 50],
      ['probe/neighbours', 40],
      ['speed/probeSeconds', 3],
    ],
  );
  const titles = textsOf(drawCurves(rows)).filter((words) => /^[A-Za-z]/.test(words) && words !== 'step');
  t.deepEqual(titles, [
    ...['Loss and its terms', 'loss', 'prediction', 'regularizer'],
    'Collapse: effective rank (RankMe), fixed images',
    'Collapse: standard deviation, fixed images',
    ...['Gradient norm', 'Learning rate', 'Context patches', 'Images per second', 'sums: all'],
  ]);
});
