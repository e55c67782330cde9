import test from 'ava';
import { mostSimilar } from '../../core/eval/search.js';

const STORED = {
  data: Float32Array.of(2, 0, 0, 5, 3, 4, -1, 0, 0, 0, 0.5, 0),
  width: 2,
  names: ['right', 'up', 'between', 'left', 'nothing', 'right too'],
  classes: null,
  facts: {},
};

test('the most similar images come first, by the cosine of the angle, of equals the first in the file', (t) => {
  const found = mostSimilar(STORED, Float32Array.of(7, 0), null, 6);
  t.deepEqual(
    found.map(({ name, similarity }) => [name, Number(similarity.toFixed(6))]),
    [
      ['right', 1],
      ['right too', 1],
      ['between', 0.6],
      ['up', 0],
      ['nothing', 0],
      ['left', -1],
    ],
  );
  t.deepEqual(
    found.map(({ row }) => row),
    [0, 5, 2, 1, 4, 3],
  );
});

test('an image is not found for itself, and no more than are asked for', (t) => {
  const found = mostSimilar(STORED, STORED.data.subarray(0, 2), 'right', 2);
  t.deepEqual(
    found.map(({ name }) => name),
    ['right too', 'between'],
  );
});

test('of several views of an image the most similar one counts; features that are no numbers are never found', (t) => {
  const views = { ...STORED, names: ['a', 'b', 'a', 'b', 'c', 'b'], data: STORED.data.with(8, Number.NaN) };
  const found = mostSimilar(views, Float32Array.of(0, 1), null, 9);
  t.deepEqual(
    found.map(({ name, row }) => [name, row]),
    [
      ['b', 1],
      ['a', 2],
    ],
  );
});
