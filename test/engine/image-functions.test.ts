import test from 'ava';
import { RandomStream } from '../../core/base/random.js';
import { averagePool, batchNorm, convolution, maxPool } from '../../core/engine/image-functions.js';
import { type Tensor, tf } from '../../core/engine/tf.js';
import type { Window } from '../../core/engine/windows.js';
import { findEngines, relativeDifference, testOnEngines } from '../helpers/engines.js';
import { readGolden } from '../helpers/golden.js';

/* Values and gradients of PyTorch (fixtures/convolution), and finite differences. */
interface Settings {
  convolutions: Window[];
  poolings: Window[];
}

type Subject = { name: string; inputs: readonly string[]; compute(...inputs: Tensor[]): Tensor };

const engines = await findEngines();
const golden = await readGolden<Settings>('convolution');
const SUBJECTS: Subject[] = [
  ...golden.settings.convolutions.map((window, at) => ({
    name: `convolution${at}`,
    inputs: ['x', 'w'],
    compute: (x: Tensor, w: Tensor) => convolution(x, w, window),
  })),
  ...golden.settings.poolings.map((window, at) => ({
    name: `maxPool${at}`,
    inputs: ['x'],
    compute: (x: Tensor) => maxPool(x, window),
  })),
  { name: 'averagePool', inputs: ['x'], compute: (x) => averagePool(x, 2) },
  { name: 'batchNorm', inputs: ['x', 'scale', 'bias'], compute: (x, g, b) => batchNorm(x, g, b, 1e-5).y },
];

/** As a network is computed: by an engine's own way to compute parts. */
async function valueAndGradients(
  engine: import('../../core/engine/contract.js').Engine,
  { compute }: Subject,
  inputs: Tensor[],
  upstream: Tensor,
): Promise<{ y: Tensor; grads: Tensor[] }> {
  const { compileWhole } = await import('../../core/engine/contract.js');
  const call = compileWhole(engine, (given: Tensor[], dy: Tensor) =>
    tf.tidy(() => ({ y: compute(...given), grads: tf.grads(compute)(given, dy) })),
  );
  return call(inputs, upstream);
}

testOnEngines(test, engines, 'convolutions, pooling and batch norm are those of PyTorch', async (t, engine) => {
  for (const subject of SUBJECTS) {
    const { name, inputs } = subject;
    const given = inputs.map((input) => golden.tensor(`${name}.${input}`));
    const { y, grads } = await valueAndGradients(engine, subject, given, golden.tensor(`${name}.dy`));
    await golden.near(t, y, `${name}.y`, 2e-6);
    for (const [at, input] of inputs.entries()) await golden.near(t, grads[at] as Tensor, `${name}.d${input}`, 5e-6);
  }
});

testOnEngines(test, engines, 'their gradients agree with finite differences', async (t) => {
  const stream = new RandomStream(0, 'directions');
  const normal = ({ shape, size }: Tensor) =>
    tf.tensor(
      Float32Array.from({ length: size }, () => stream.normal()),
      shape,
    );
  const number = async (scalar: Tensor) => (await scalar.data())[0] as number;
  for (const { name, inputs, compute } of SUBJECTS.filter(({ name }) => !name.startsWith('maxPool'))) {
    const given = inputs.map((input) => golden.tensor(`${name}.${input}`));
    const upstream = golden.tensor(`${name}.dy`);
    const grads = tf.grads(compute)(given, upstream);
    for (const [at, input] of given.entries()) {
      const direction = normal(input);
      const moved = (by: number) => given.map((x, other) => (other === at ? x.add(direction.mul(by)) : x));
      const value = async (by: number) =>
        number(
          compute(...moved(by))
            .mul(upstream)
            .sum(),
        );
      const numeric = ((await value(1e-2)) - (await value(-1e-2))) / 2e-2;
      const expected = await number((grads[at] as Tensor).mul(direction).sum());
      const isNear = Math.abs(numeric - expected) < 0.01 * Math.max(1, Math.abs(expected));
      t.true(isNear, `${name}, ${inputs[at]}: ${numeric}, expected ${expected}`);
    }
  }
});

test('mean and variance of a batch are those of each channel', async (t) => {
  const x = golden.tensor('batchNorm.x'); // [4, 3, 3, 2]
  const { mean, variance } = batchNorm(x, tf.ones([4]), tf.zeros([4]), 1e-5);
  const data = await x.data();
  const channels = [0, 1, 2, 3].map((channel) => [...data.slice(18 * channel, 18 * (channel + 1))]);
  const average = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const means = channels.map(average);
  const variances = channels.map((values, at) => average(values.map((value) => (value - (means[at] as number)) ** 2)));
  t.true(relativeDifference(await mean.data(), means) < 1e-6);
  t.true(relativeDifference(await variance.data(), variances) < 1e-6);
});

test('a function says what shape it expected and what it received', (t) => {
  const x = tf.zeros([3, 1, 4, 4]);
  t.throws(() => convolution(x, tf.zeros([2, 4, 3, 3])), { message: /expected x of \[4, B, H, W\].*\[3,1,4,4\]/ });
  t.throws(() => convolution(x, tf.zeros([2, 3, 7, 7])), { message: /a window of side 7 does not fit/ });
  t.throws(() => batchNorm(x, tf.ones([4]), tf.zeros([4]), 1e-5), { message: /expected x of \[4, ...\]/ });
});
