import test from 'ava';
import { RandomStream } from '../../core/base/random.js';

test('a stream is fixed by its seed, name and counters', (t) => {
  const draw = (...key: [number, string, ...number[]]) => {
    const stream = new RandomStream(...key);
    return Array.from({ length: 5 }, () => stream.uniform());
  };
  t.deepEqual(draw(1, 'crop', 2, 3), draw(1, 'crop', 2, 3));
  const keys: [number, string, ...number[]][] = [
    [1, 'crop', 2, 3],
    [2, 'crop', 2, 3],
    [1, 'masks', 2, 3],
    [1, 'crop', 3, 3],
    [1, 'crop', 23],
  ];
  t.is(new Set(keys.map((key) => draw(...key).join())).size, keys.length);
});

test('the first numbers of a stream never change between versions', (t) => {
  const stream = new RandomStream(0, 'golden', 1);
  t.deepEqual([stream.integer(0, 999), stream.integer(0, 999), stream.integer(0, 999)], GOLDEN);
});

test('uniform and normal numbers have the moments that they should have', (t) => {
  const stream = new RandomStream(0, 'moments');
  const moments = (draw: () => number) => {
    const values = Array.from({ length: 40_000 }, draw);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return { mean, variance: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length };
  };
  const uniform = moments(() => stream.uniform());
  t.true(Math.abs(uniform.mean - 0.5) < 0.01 && Math.abs(uniform.variance - 1 / 12) < 0.005);
  const normal = moments(() => stream.normal());
  t.true(Math.abs(normal.mean) < 0.02 && Math.abs(normal.variance - 1) < 0.03);
});

test('whole numbers reach both ends, and permutations hold every number once', (t) => {
  const stream = new RandomStream(0, 'ends');
  const drawn = new Set(Array.from({ length: 200 }, () => stream.integer(2, 4)));
  t.deepEqual([...drawn].sort(), [2, 3, 4]);
  const order = stream.permutation(1000);
  t.deepEqual(
    [...order].sort((a, b) => a - b),
    [...Array(1000).keys()],
  );
  t.notDeepEqual([...order], [...Array(1000).keys()]);
});

/** Seen once; a change here changes every run of every user. */
const GOLDEN = [425, 164, 653];
