import test from 'ava';
import * as fc from 'fast-check';
import { RandomStream } from '../../core/base/random.js';
import { chunkSize, epochOrders, permutation } from '../../core/data/order.js';

/** All indices of an epoch, in its order. */
function indicesOf(seed: number, epoch: number, images: number, buffer: number | null = null): number[] {
  const order = epochOrders(seed, images, buffer)(epoch);
  return Array.from({ length: images }, (_, position) => order(position));
}

const inOrder = (count: number) => Array.from({ length: count }, (_, at) => at);
const sorted = (values: readonly number[]) => [...values].sort((a, b) => a - b);

test('an epoch shows every image once, whatever the number of images and the buffer', (t) => {
  const someBuffer = fc.option(fc.integer({ min: 2, max: 600 }));
  fc.assert(
    fc.property(
      fc.nat(1e6),
      fc.nat(50),
      fc.integer({ min: 1, max: 700 }),
      someBuffer,
      (seed, epoch, images, buffer) => {
        t.deepEqual(sorted(indicesOf(seed, epoch, images, buffer)), inOrder(images));
      },
    ),
    { numRuns: 30 },
  );
  for (const images of [1, 2, 3, 4, 5, 63, 64, 65, 1023, 1024, 1025]) {
    for (const buffer of [null, 2, 7, 64, 512, 2000]) {
      t.deepEqual(sorted(indicesOf(3, 1, images, buffer)), inOrder(images), `${images}, ${buffer}`);
    }
  }
});

test('so it does with the 1.3 million images of a large data set', (t) => {
  const images = 1_281_167;
  for (const buffer of [null, 10_000]) {
    const order = epochOrders(0, images, buffer)(7);
    const seen = new Uint8Array(images);
    for (let position = 0; position < images; position++) seen[order(position)] = 1;
    t.true(seen.every((times) => times === 1));
  }
});

test('the inverse of a permutation leads back', (t) => {
  fc.assert(
    fc.property(
      fc.nat(1e6),
      fc.integer({ min: 1, max: 2 ** 31 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (seed, count, part) => {
        const value = Math.floor(part * count);
        const { at, positionOf } = permutation(count, new RandomStream(seed, 'test'));
        t.is(positionOf(at(value)), value);
        t.is(at(positionOf(value)), value);
      },
    ),
  );
});

test('seeds and epochs have orders of their own, and the same ones every time', (t) => {
  for (const buffer of [null, 40]) {
    const orders = [
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
    ].map(([seed, epoch]) => indicesOf(seed as number, epoch as number, 100, buffer).join());
    t.is(new Set(orders).size, 4);
    t.is(indicesOf(0, 1, 100, buffer).join(), orders[1]);
  }
  const orderOf = epochOrders(5, 100, 30);
  const forwards = inOrder(100).map((position) => orderOf(2)(position));
  orderOf(3)(0);
  t.deepEqual(
    inOrder(100)
      .reverse()
      .map((position) => orderOf(2)(position)),
    forwards.reverse(),
  );
});

test('a position outside the epoch is refused', (t) => {
  for (const buffer of [null, 4]) {
    const order = epochOrders(0, 10, buffer)(0);
    for (const position of [-1, 10, Number.NaN]) t.throws(() => order(position), { instanceOf: RangeError });
  }
});

/** Sum of squared deviations over expectation, of counts that should be equal, and its deviations from the mean. */
function chiSquareSigmas(counts: readonly number[]): number {
  const expected = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  const chi = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  const freedom = counts.length - 1;
  return (chi - freedom) / Math.sqrt(2 * freedom);
}

for (const images of [2, 3, 4, 5, 6, 7, 9, 16, 33]) {
  test(`any two of ${images} images are as likely as any others to stand at any two positions`, (t) => {
    const pairs = Array.from({ length: images * images }, () => 0);
    const [first, second] = [0, images >> 1];
    for (let epoch = 0; epoch < 40 * images * images; epoch++) {
      const order = epochOrders(11, images)(epoch);
      const pair = order(first) * images + order(second);
      pairs[pair] = (pairs[pair] as number) + 1;
    }
    const possible = pairs.filter((_, pair) => Math.floor(pair / images) !== pair % images);
    t.is(
      pairs.reduce((sum, count) => sum + count),
      possible.reduce((sum, count) => sum + count),
    );
    const sigmas = chiSquareSigmas(possible);
    t.true(sigmas > -4 && sigmas < 4, `${sigmas} deviations from what chance gives`);
  });
}

test('all orders of four images come up equally often', (t) => {
  const orders = new Map<string, number>();
  for (let epoch = 0; epoch < 4800; epoch++) {
    const order = indicesOf(2, epoch, 4).join();
    orders.set(order, (orders.get(order) ?? 0) + 1);
  }
  t.is(orders.size, 24);
  t.true(Math.abs(chiSquareSigmas([...orders.values()])) < 4);
});

test('in a large epoch, neighbours of the data set are spread evenly, and steps of the order are of all lengths', (t) => {
  const images = 100_003;
  const order = epochOrders(1, images)(0);
  const bins = 16;
  const bin = (value: number) => Math.floor((bins * value) / images);
  const places = Array<number>(bins * bins).fill(0);
  const steps = Array<number>(bins).fill(0);
  for (let position = 0; position < images; position++) {
    const index = order(position);
    const at = bin(position) * bins + bin(index);
    places[at] = (places[at] as number) + 1;
    const step = bin((order((position + 1) % images) - index + images) % images);
    steps[step] = (steps[step] as number) + 1;
  }
  for (const counts of [places, steps]) t.true(chiSquareSigmas(counts) < 4, String(chiSquareSigmas(counts)));
});

test('with a buffer, whole chunks of neighbours come together, and chunks of everywhere', (t) => {
  const [images, buffer] = [10_000, 512];
  const size = chunkSize(buffer);
  t.is(size, 64);
  const order = indicesOf(4, 0, images, buffer);
  const starts: number[] = [];
  for (let from = 0; from + buffer <= images; from += buffer) {
    const chunks = new Set(order.slice(from, from + buffer).map((index) => Math.floor(index / size)));
    t.true(chunks.size <= buffer / size + 2, `${chunks.size} chunks for ${buffer} images`);
    starts.push(...chunks);
    const together = order.slice(from, from + buffer).filter((index, at, all) => index === (all[at - 1] ?? -2) + 1);
    t.true(together.length < 10, 'images of a chunk do not follow one another');
  }
  t.true(new Set(starts.slice(0, 20).map((chunk) => Math.floor((chunk * size * 4) / images))).size === 4);
});

test('the last chunk, shorter than the others, is not always the last to come', (t) => {
  const [images, buffer] = [1001, 80];
  const places = inOrder(40).map((epoch) => indicesOf(0, epoch, images, buffer).indexOf(images - 1));
  const quarters = new Set(places.map((place) => Math.floor((4 * place) / images)));
  t.is(quarters.size, 4);
});

test('chunks fit small buffers', (t) => {
  t.deepEqual([2, 8, 15, 16, 512, 1000, 100_000].map(chunkSize), [1, 1, 1, 2, 64, 64, 64]);
});
