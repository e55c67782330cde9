import test from 'ava';
import { drawCurves } from '../../core/report/curves.js';
import type { LogRow } from '../../core/run/run-log.js';

/** A step of a run. */
function row(step: number, changes: Partial<LogRow> = {}): LogRow {
  return {
    epoch: 1,
    step,
    loss: 1 / step,
    predictionLoss: 1 / step,
    contextPatches: 10,
    targetPatches: 4,
    overlappingContexts: 0,
    learningRate: 1e-3,
    weightDecay: 0.04,
    momentum: 0.996,
    gradientNorm: 1,
    batchDeviation: 0.1,
    imagesPerSecond: 100,
    waitSeconds: 0,
    seconds: 0.1,
    skippedImages: 0,
    targetDeviation: null,
    targetRank: null,
    ...changes,
  };
}

const textsOf = (svg: string) => [...svg.matchAll(/<text[^>]*>([^<]*)</g)].map(([, words]) => words ?? '');

test('curves have axes from one round number to another, of steps and of values', (t) => {
  const rows = Array.from({ length: 100 }, (_, at) => row(at + 1, { gradientNorm: at === 50 ? 1.7 : 0.6 }));
  const texts = textsOf(drawCurves(rows));
  const loss = texts.slice(texts.indexOf('Loss'), texts.indexOf('Collapse: effective rank (RankMe), fixed images'));
  t.deepEqual(
    loss.filter((words) => /^[\d.]+$/.test(words)),
    ['1', '20', '40', '60', '80', '100', '0', '0.2', '0.4', '0.6', '0.8', '1'],
  );
  const norm = texts.slice(texts.indexOf('Gradient norm'), texts.indexOf('Learning rate'));
  t.deepEqual(norm.filter((words) => /^[\d.]+$/.test(words)).slice(6), ['0.5', '1', '2']);
});

test('curves of any log can be drawn: one step, values that stay, vanish, explode or are none', (t) => {
  const rows = [
    [row(1)],
    [row(1, { loss: Number.NaN, gradientNorm: 0 }), row(2, { loss: Number.POSITIVE_INFINITY, gradientNorm: -1 })],
    [row(1, { gradientNorm: 1e-30 }), row(2, { gradientNorm: 1e30 })],
    [row(1, { learningRate: 0, loss: 0 }), row(2, { learningRate: 0, loss: -5e-324 })],
    [row(1, { loss: 1e300 }), row(2, { loss: -1e300 })],
    [row(1_000_000), row(2_000_000, { monitors: { 'a <b>': { '"x"&': 2, y: null } } })],
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
