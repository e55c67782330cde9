import test from 'ava';
import { RandomStream } from '../core/random.js';
import { meanDeviation, rankMe } from '../core/train/watch.js';
import { type CollapseMemory, judgeSpread } from '../plugins/collapse/index.js';

/** Features [rows, width], row by row. */
function features(rows: number, width: number, value: (row: number, column: number) => number): Float32Array {
  return Float32Array.from({ length: rows * width }, (_, at) => value(Math.floor(at / width), at % width));
}

test('RankMe of orthogonal features is their number, of proportional features 1', (t) => {
  const identity = features(8, 8, (row, column) => Number(row === column));
  t.true(Math.abs(rankMe(identity, 8) - 8) < 1e-6);
  t.true(
    Math.abs(
      rankMe(
        features(6, 20, (row, column) => (row + 1) * (column - 3)),
        6,
      ) - 1,
    ) < 1e-3,
  );
  t.is(rankMe(new Float32Array(12), 3), 1);
});

test('RankMe lies between 1 and the number of rows or columns', (t) => {
  const stream = new RandomStream(0, 'features');
  for (const [rows, width] of [
    [5, 30],
    [30, 5],
    [16, 16],
  ] as const) {
    const rank = rankMe(
      features(rows, width, () => stream.normal()),
      rows,
    );
    t.true(rank > 1 && rank <= Math.min(rows, width), `${rows} x ${width}: ${rank}`);
  }
});

test('the deviation is the mean over features of their deviation over images', (t) => {
  // Columns 0, 0 and 1, 3 over two rows: deviations 0 and 1.
  t.is(meanDeviation(Float32Array.of(0, 1, 0, 3), 2), 0.5);
});

test('a fall is reported once, and so is the recovery', (t) => {
  const story = [10, 9, 12, 8, 7, 5, 4, 6, 11, 12, 5];
  let memory: CollapseMemory | null = null;
  const messages: string[] = [];
  story.forEach((rank, step) => {
    const judged = judgeSpread({ deviation: 1, rank, step }, memory);
    memory = judged.memory ?? null;
    if (judged.message) messages.push(judged.message);
  });
  t.is(messages.length, 3);
  t.regex(messages[0] ?? '', /step 4: the representations are collapsing.*effective rank 7\.0 \(best so far 12\.0\)/);
  t.regex(messages[1] ?? '', /step 8: the representations have recovered/);
  t.regex(messages[2] ?? '', /step 10: the representations are collapsing/);
});

test('a fall of the deviation alone is reported too', (t) => {
  const { memory = null } = judgeSpread({ deviation: 1, rank: 5, step: 0 }, null);
  t.truthy(judgeSpread({ deviation: 0.5, rank: 5, step: 1 }, memory).message);
  t.falsy(judgeSpread({ deviation: 0.9, rank: 4.5, step: 1 }, memory).message);
});
