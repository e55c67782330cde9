import test from 'ava';
import { RandomStream } from '../../core/base/random.js';
import { attention, gelu, layerNorm, linear, mlp, normalise } from '../../core/engine/functions.js';
import { type Tensor, tf } from '../../core/engine/tf.js';
import { findEngines, relativeDifference, testOnEngines } from '../helpers/engines.js';

/*
 * Every function with a gradient of its own is held against the same formula in plain operations, whose gradient
 * TensorFlow.js derives, and against finite differences.
 */
const engines = await findEngines();

interface Subject {
  name: string;
  shapes: number[][];
  fused: (...inputs: Tensor[]) => Tensor;
  plain: (...inputs: Tensor[]) => Tensor;
}

const SUBJECTS: Subject[] = [
  {
    name: 'linear',
    shapes: [[2, 3, 5], [4, 5], [4]],
    fused: (x, w, b) => linear(x as Tensor, w as Tensor, b as Tensor),
    plain: (x, w, b) => {
      const rows = (x as Tensor).reshape([6, 5]);
      return tf
        .matMul(rows, tf.transpose(w as Tensor))
        .add(b as Tensor)
        .reshape([2, 3, 4]);
    },
  },
  {
    name: 'layer norm',
    shapes: [[2, 3, 8], [8], [8]],
    fused: (x, g, b) => layerNorm(x as Tensor, g as Tensor, b as Tensor, 1e-6),
    plain: (x, g, b) => {
      const { mean, variance } = tf.moments(x as Tensor, -1, true);
      return (x as Tensor)
        .sub(mean)
        .div(variance.add(1e-6).sqrt())
        .mul(g as Tensor)
        .add(b as Tensor);
    },
  },
  {
    name: 'GELU',
    shapes: [[3, 7]],
    fused: (x) => gelu(x as Tensor),
    plain: (x) =>
      (x as Tensor).mul(
        tf
          .erf((x as Tensor).div(Math.SQRT2))
          .add(1)
          .div(2),
      ),
  },
  ...[1, 5].map((rows) => ({
    name: `feed-forward on ${rows} rows`,
    shapes: [[rows, 6], [8, 6], [8], [6, 8], [6]],
    fused: (...inputs: Tensor[]) => {
      const [x, weight1, bias1, weight2, bias2] = inputs as [Tensor, Tensor, Tensor, Tensor, Tensor];
      return mlp(x, { weight: weight1, bias: bias1 }, { weight: weight2, bias: bias2 });
    },
    plain: (...inputs: Tensor[]) => {
      const [x, w1, b1, w2, b2] = inputs as [Tensor, Tensor, Tensor, Tensor, Tensor];
      const hidden = tf.matMul(x, w1, false, true).add(b1);
      const activated = hidden.mul(tf.erf(hidden.div(Math.SQRT2)).add(1).div(2));
      return tf.matMul(activated, w2, false, true).add(b2);
    },
  })),
  {
    name: 'attention',
    shapes: [[2, 5, 24]],
    fused: (qkv) => attention(qkv as Tensor, 2),
    plain: (qkv) => plainAttention(qkv as Tensor, 2),
  },
  {
    name: 'attention of all tokens but the first two',
    shapes: [[2, 5, 24]],
    fused: (qkv) => attention(qkv as Tensor, 2, 2),
    plain: (qkv) => tf.slice(plainAttention(qkv as Tensor, 2), [0, 2, 0], [-1, -1, -1]),
  },
  {
    name: 'attention with a bias',
    shapes: [
      [3, 5, 24],
      [2, 5, 5],
    ],
    fused: (qkv, bias) => attention(qkv as Tensor, 2, 0, bias),
    plain: (qkv, bias) => plainAttention(qkv as Tensor, 2, bias),
  },
  {
    name: 'attention of all tokens but the first one, with a bias',
    shapes: [
      [3, 5, 24],
      [2, 4, 5],
    ],
    fused: (qkv, bias) => attention(qkv as Tensor, 2, 1, bias),
    plain: (qkv, bias) =>
      tf.slice(plainAttention(qkv as Tensor, 2, tf.concat([tf.zeros([2, 1, 5]), bias as Tensor], 1)), [0, 1, 0]),
  },
];

for (const { name, shapes, fused, plain } of SUBJECTS) {
  testOnEngines(test, engines, `${name} gives what its formula gives, and the same gradients`, async (t) => {
    const inputs = randomTensors(name, shapes);
    const upstream = randomTensors(`${name} upstream`, [fused(...inputs).shape])[0] as Tensor;
    const [value, expected] = [fused(...inputs), plain(...inputs)];
    t.true(relativeDifference(await value.data(), await expected.data()) < 1e-5);
    const actual = gradients(fused, inputs, upstream);
    const derived = gradients(plain, inputs, upstream);
    for (const [at, gradient] of actual.entries()) {
      t.true(relativeDifference(await gradient.data(), await (derived[at] as Tensor).data()) < 1e-4, `input ${at}`);
    }
  });

  testOnEngines(test, engines, `the gradient of ${name} agrees with finite differences`, async (t) => {
    const inputs = randomTensors(name, shapes);
    const upstream = randomTensors(`${name} upstream`, [fused(...inputs).shape])[0] as Tensor;
    const objective = (...xs: Tensor[]) =>
      fused(...xs)
        .mul(upstream)
        .sum();
    const analytic = gradients(fused, inputs, upstream);
    for (const [at, input] of inputs.entries()) {
      const direction = randomTensors(`${name} direction ${at}`, [input.shape])[0] as Tensor;
      const h = 1e-2;
      const moved = (by: number) => inputs.map((x, i) => (i === at ? x.add(direction.mul(by)) : x));
      const [up, down] = [objective(...moved(h)), objective(...moved(-h))];
      const numeric = ((await number(up)) - (await number(down))) / (2 * h);
      const expected = await number((analytic[at] as Tensor).mul(direction).sum());
      t.true(
        Math.abs(numeric - expected) < 0.01 * Math.max(1, Math.abs(expected)),
        `input ${at}: ${numeric}, ${expected}`,
      );
    }
  });
}

testOnEngines(test, engines, 'normalise gives rows of mean 0 and variance 1', async (t) => {
  const rows = normalise((randomTensors('rows', [[4, 32]])[0] as Tensor).mul(3).add(5), 1e-5);
  const { mean, variance } = tf.moments(rows, -1);
  t.true(relativeDifference(await mean.add(1).data(), [1, 1, 1, 1]) < 1e-5);
  t.true(relativeDifference(await variance.data(), [1, 1, 1, 1]) < 1e-4);
});

testOnEngines(test, engines, 'products of transposed and batched matrices are right', async (t) => {
  const [a, b] = randomTensors('product', [
    [3, 4, 5],
    [3, 5, 6],
  ]) as [Tensor, Tensor];
  const expected = await tf.matMul(a, b).data();
  const [aT, bT] = [a.transpose([0, 2, 1]), b.transpose([0, 2, 1])];
  t.true(relativeDifference(await tf.matMul(aT, b, true, false).data(), expected) < 1e-5);
  t.true(relativeDifference(await tf.matMul(a, bT, false, true).data(), expected) < 1e-5);
  t.true(relativeDifference(await tf.matMul(aT, bT, true, true).data(), expected) < 1e-5);
  const [x, y] = [await a.array(), await b.array()] as [number[][][], number[][][]];
  const byHand = x.flatMap((matrix, n) => matrix.flatMap((row) => timesMatrix(row, y[n] as number[][])));
  t.true(relativeDifference(expected, byHand) < 1e-5);
});

test('a function says what shape it expected and what it received', async (t) => {
  const [x, w, b] = randomTensors('wrong', [[2, 3], [4, 5], [4]]) as [Tensor, Tensor, Tensor];
  t.throws(() => linear(x, w, b), { message: /linear expected x of width 5, received \[2, 3\]/ });
  t.throws(() => attention(x, 2), { message: /attention expected/ });
  const bias = tf.zeros([2, 3, 4]);
  t.throws(() => attention(tf.zeros([1, 4, 24]), 2, 0, bias), { message: /a bias of \[2,4,4\], received \[2, 3, 4\]/ });
});

function timesMatrix(row: number[], matrix: number[][]): number[] {
  const columns = matrix[0]?.length ?? 0;
  return Array.from({ length: columns }, (_, column) =>
    row.reduce((sum, value, at) => sum + value * (matrix[at]?.[column] as number), 0),
  );
}

function plainAttention(qkv: Tensor, heads: number, bias: Tensor = tf.scalar(0)): Tensor {
  const [images, tokens, width3] = qkv.shape as [number, number, number];
  const d = width3 / 3 / heads;
  const parts = [0, 1, 2].map((part) =>
    tf
      .slice(qkv, [0, 0, (part * width3) / 3], [-1, -1, width3 / 3])
      .reshape([images, tokens, heads, d])
      .transpose([0, 2, 1, 3]),
  );
  const [q, k, v] = parts as [Tensor, Tensor, Tensor];
  const weights = tf.softmax(tf.matMul(q, k, false, true).div(Math.sqrt(d)).add(bias));
  return tf
    .matMul(weights, v)
    .transpose([0, 2, 1, 3])
    .reshape([images, tokens, width3 / 3]);
}

function gradients(f: (...inputs: Tensor[]) => Tensor, inputs: Tensor[], upstream: Tensor): Tensor[] {
  return tf.grads((...xs) => f(...xs))(inputs, upstream);
}

function randomTensors(name: string, shapes: readonly number[][]): Tensor[] {
  const stream = new RandomStream(0, name);
  return shapes.map((shape) => {
    const size = shape.reduce((product, side) => product * side, 1);
    return tf.tensor(
      Float32Array.from({ length: size }, () => stream.normal()),
      shape,
    );
  });
}

async function number(scalar: Tensor): Promise<number> {
  return (await scalar.data())[0] as number;
}
