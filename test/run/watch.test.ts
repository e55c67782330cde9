import test from 'ava';
import { RandomStream } from '../../core/base/random.js';
import { rankMe } from '../../core/eval/geometry.js';
import type { Verdict } from '../../core/plugin.js';
import { meanStd } from '../../core/run/watch.js';
import { type CollapseMemory, describeSpread, judgeSpread } from '../../plugins/collapse/index.js';

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

test('the standard deviation is the mean over features of that over images', (t) => {
  // Columns 0, 0 and 1, 3 over two rows: 0 and 1.
  t.is(meanStd(Float32Array.of(0, 1, 0, 3), 2), 0.5);
});

/** What the monitor says of a run of these observations, (std, rank) each; the first is before the first step. */
function follow(story: readonly (readonly [std: number, rank: number])[]) {
  let memory: CollapseMemory | null = null;
  let verdict: Verdict | undefined;
  const messages: string[] = [];
  story.forEach(([std, rank], step) => {
    const judged = judgeSpread({ std, rank, step }, memory);
    memory = JSON.parse(JSON.stringify(judged.memory));
    if (judged.message) messages.push(judged.message);
    verdict = judged.verdict;
  });
  return { messages, verdict };
}

// Observations of real runs, (std, rank) each.
const WELL: Record<string, [number, number][]> = {
  'the demo': [
    [0.073, 3],
    [0.09, 3.5],
    [0.19, 8],
    [0.29, 8.4],
    [0.33, 9.8],
    [0.43, 11.7],
    [0.475, 12.4],
  ],
  'the demo with SIGReg': [
    [0.073, 3],
    [0.09, 3.6],
    [0.11, 6.2],
    [0.12, 4.4],
    [0.16, 4],
    [0.29, 4.3],
    [0.32, 4.4],
  ],
  'a tiny run with VICReg': [
    [0.061, 2],
    [0.07, 2.1],
    [0.09, 2.4],
    [0.11, 2.8],
    [0.12, 3],
  ],
  'a tiny run without a regularizer, which loses a little': [
    [0.061, 2],
    [0.05, 1.8],
    [0.04, 1.7],
    [0.044, 1.8],
  ],
  'a standard deviation that falls from an overshoot': [
    [0.1, 3],
    [0.5, 4],
    [1, 6],
    [0.7, 6.5],
    [0.45, 7],
    [0.4, 7],
  ],
  'an overshoot that is settled at a quarter': [
    [0.1, 3],
    [1.2, 6],
    [0.5, 6],
    [0.3, 6],
    [0.3, 6],
  ],
  'random weights of a high rank': [
    [0.07, 20],
    [0.3, 9],
    [0.5, 4],
    [0.5, 5],
  ],
  'random weights of a rank near 1': [
    [0.01, 1.1],
    [0.02, 1.2],
    [0.3, 4],
  ],
  'one that is as it was': [
    [0.281, 5.9],
    [0.28, 5.9],
    [0.279, 5.9],
  ],
};
const COLLAPSED: Record<string, [number, number][]> = {
  'the demo without a regularizer': [
    [0.073, 3],
    [0.07, 2.96],
    [0.04, 2],
    [0.03, 1.5],
    [0.031, 1.3],
  ],
  'a tiny run whose target encoder is its context encoder': [
    [0.061, 2],
    [0.07, 1.95],
    [0.02, 1.37],
    [0.016, 1.25],
  ],
  'a tiny run with a huge learning rate': [
    [0.061, 2],
    [0.07, 2.1],
    [0.09, 2.1],
    [0.05, 1.65],
    [0.037, 1.34],
  ],
  both: [
    [0.061, 2],
    [0.02, 1.25],
    [0.03, 1.17],
    [0.031, 1.18],
  ],
  'features that have come to be the same': [
    [0.07, 3],
    [0.5, 12],
    [0.01, 1.0],
  ],
  'a tiny run that comes to lie on a line': [
    [0.061, 2],
    [0.079, 2.49],
    [0.11, 2.67],
    [0.125, 2.09],
    [0.15, 1.8],
    [0.112, 1.52],
  ],
  'features that have come to lie on a line': [
    [0.07, 3],
    [0.5, 8],
    [0.6, 1.9],
  ],
  'one that lost nearly all, to no less than it had': [
    [0.07, 3],
    [0.5, 12],
    [0.1, 3],
  ],
};

test('runs that are well are not called collapsed at any time, and are said to be well in the end', (t) => {
  for (const [name, story] of Object.entries(WELL)) {
    const { messages, verdict } = follow(story);
    t.deepEqual(messages, [], name);
    t.true(verdict?.isWell, name);
    t.regex(verdict?.text ?? '', /^the representations have not collapsed.* at step \d+/, name);
  }
  t.regex(
    follow(WELL['one that is as it was'] ?? []).verdict?.text ?? '',
    /pictures differ no more to the model than before training/,
  );
  t.regex(follow(WELL['the demo'] ?? []).verdict?.text ?? '', /pictures differ 37 times as much/);
});

test('runs that have collapsed are told once, and are said to have collapsed in the end', (t) => {
  for (const [name, story] of Object.entries(COLLAPSED)) {
    const { messages, verdict } = follow(story);
    t.is(messages.length, 1, name);
    t.false(verdict?.isWell, name);
    t.regex(verdict?.text ?? '', /^the representations have collapsed: at step \d+, pictures look nearly alike/, name);
  }
});

test('a collapse is reported once, and so is the recovery', (t) => {
  const ranks = [10, 9, 12, 8, 7, 5, 1.4, 1.2, 1.9, 11, 12, 1.1];
  const { messages } = follow(ranks.map((rank) => [1, rank]));
  t.is(messages.length, 3);
  t.regex(messages[0] ?? '', /step 6: the representations are collapsing.*effective rank 1\.4 \(best so far 12\.0\)/);
  t.regex(messages[1] ?? '', /step 9: the representations have recovered/);
  t.regex(messages[2] ?? '', /step 11: the representations are collapsing/);
});

test('where targets are fixed a spread that falls is told, and is no collapse', (t) => {
  // MAE on generated scenes.
  const [first, last] = [
    { step: 0, std: 0.144, rank: 7.3 },
    { step: 128, std: 0.0316, rank: 1.827 },
  ];
  const { memory = null } = describeSpread(first, null);
  t.like(describeSpread(last, memory), {
    message: undefined,
    verdict: {
      isWell: true,
      text: 'the targets are fixed, so nothing rewards representations for being alike; at step 128, pictures differ 0.029 times as much to the model as before training',
    },
  });
  t.false(judgeSpread(last, memory).verdict?.isWell, 'with targets that are learned it is one');
});
