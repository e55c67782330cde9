import test from 'ava';
import { RandomStream } from '../../core/base/random.js';
import { nearestRows } from '../../core/eval/search.js';

test('the nearest rows are those of the largest cosines, in their order, whatever their lengths', (t) => {
  const rows = Float32Array.of(1, 0, 0, 5, 3, 3, -1, 0, 0.1, 0);
  const [first, second] = nearestRows(rows, Float32Array.of(2, 0, 0, 0.5), 2, 3, [null, 1]);
  t.deepEqual(
    first.map(({ row }) => row),
    [0, 4, 2],
  );
  t.deepEqual(
    first.map(({ similarity }) => Number(similarity.toFixed(6))),
    [1, 1, Number(Math.SQRT1_2.toFixed(6))],
  );
  t.deepEqual(
    second.map(({ row }) => row),
    [2, 0, 3],
  );
});

test('a search by insertion finds what sorting all finds', (t) => {
  const stream = new RandomStream(1, 'search');
  const [count, width, top] = [200, 5, 7];
  const rows = Float32Array.from({ length: count * width }, () => stream.normal());
  const query = rows.slice(0, width);
  const cosine = (row: number) => {
    const own = rows.subarray(row * width, (row + 1) * width);
    const product = own.reduce((sum, x, i) => sum + x * query[i], 0);
    return product / Math.hypot(...own) / Math.hypot(...query);
  };
  const expected = [...Array(count).keys()].slice(1).sort((a, b) => cosine(b) - cosine(a));
  const [found] = nearestRows(rows, query, width, top, [0]);
  t.deepEqual(
    found.map(({ row }) => row),
    expected.slice(0, top),
  );
});

test('rows of zeros are near to nothing, and fewer rows than asked for are all there are', (t) => {
  const [found] = nearestRows(Float32Array.of(0, 0, 1, 1), Float32Array.of(1, 1), 2, 9, [null]);
  t.deepEqual(
    found.map(({ row }) => row),
    [1, 0],
  );
  t.is(found[1].similarity, 0);
});
