import test from 'ava';
import { type Scalar, type Tensor, tf } from '../../core/engine/tf.js';
import type { Term } from '../../core/methods/method.js';
import { ntXent } from '../../core/methods/simclr/method.js';
import { normaliseRows } from '../../core/nn/batch-norm.js';
import { project } from '../../core/nn/vit.js';
import { initialNetworks, initialState } from '../../core/train/state.js';
import { findEngines, relativeDifference, testOnEngines } from '../helpers/engines.js';
import { LINEAR, linear, madeUp, WIDTH } from '../helpers/made-up.js';
import { noiseBatch, numberOf, numbersOf, prepareBatchGradients, prepareTestStep } from '../helpers/training.js';

const engines = await findEngines();
const TEMPERATURE = 0.1;
type Outputs = { z: Tensor };

/** NT-Xent (Chen et al. 2020, equation 1) in double precision, term by term. */
function ntXentByHand(z: readonly (readonly number[])[]): number {
  const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, at) => sum + x * (b[at] as number), 0);
  const similarity = (i: number, k: number) => {
    const [a, b] = [z[i] as number[], z[k] as number[]];
    return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)) / TEMPERATURE;
  };
  const losses = z.map((_, i) => {
    const others = z.flatMap((__, k) => (k === i ? [] : [Math.exp(similarity(i, k))]));
    return -similarity(i, i ^ 1) + Math.log(others.reduce((sum, x) => sum + x, 0));
  });
  return losses.reduce((sum, x) => sum + x, 0) / z.length;
}

const contrast = (weight: number): Term<Outputs, Record<string, never>> => ({
  name: 'nt-xent',
  weight,
  over: 'batch',
  rows: ({ z }) => z,
  compute: (z) => ntXent(z, TEMPERATURE),
});
const size = (weight: number): Term<Outputs, Record<string, never>> => ({
  name: 'size',
  weight,
  over: 'images',
  compute: ({ z }) => z.square().mean() as Scalar,
});

/** A method that sees two crops of each image, as SimCLR does. */
function twoViews(terms: readonly Term<Outputs, Record<string, never>>[]) {
  return madeUp<Outputs, Record<string, never>>({
    networks: {
      encoder: { shapes: LINEAR, role: { by: 'gradient' } },
    },
    views: [{ name: 'view', count: 2 }],
    targets: () => ({}),
    outputs: (networks, { views }) => ({ z: linear(networks.encoder, views.view) }),
    terms,
  });
}

testOnEngines(
  test,
  engines,
  'a contrastive loss in three uneven parts is that of the whole batch, and so are its gradients',
  async (t, engine) => {
    const simclr = twoViews([contrast(1)]);
    const networks = initialNetworks(simclr.method, 0);
    const batch = noiseBatch(simclr, 7);
    const whole = await prepareBatchGradients(engine, simclr)(networks, batch);
    const parts = await prepareBatchGradients(engine, simclr, 3)(networks, batch); // 3 + 3 + 1
    const z = linear(networks.encoder, tf.tensor4d(batch.views.view as Float32Array, [14, 4, 4, 3]));
    const rows = [...(await z.data())];
    const width = z.shape[1] as number;
    const byHand = ntXentByHand(Array.from({ length: 14 }, (_, at) => rows.slice(at * width, (at + 1) * width)));
    for (const { loss, terms } of [whole, parts]) {
      t.true(Math.abs((await numberOf(loss)) - byHand) < 1e-5 * byHand);
      t.true(Math.abs((await numberOf(terms['nt-xent'] as Scalar)) - byHand) < 1e-5 * byHand);
    }
    t.true(relativeDifference(await numbersOf(parts.gradients), await numbersOf(whole.gradients)) < 1e-5);
    t.true((await numbersOf(whole.gradients)).some((grad) => Math.abs(grad) > 1e-3));
  },
);

testOnEngines(
  test,
  engines,
  'the loss is the weighted sum of its terms, in parts too, and terms are told without their weights',
  async (t, engine) => {
    const [both, contrastAlone, sizeAlone] = [
      twoViews([contrast(0.5), size(3)]),
      twoViews([contrast(1)]),
      twoViews([size(1)]),
    ];
    const networks = initialNetworks(both.method, 0);
    const batch = noiseBatch(both, 7);
    const of = (method: typeof both) => prepareBatchGradients(engine, method)(networks, batch);
    const [a, b] = [await of(contrastAlone), await of(sizeAlone)];
    const [first, second] = [await numberOf(a.loss), await numberOf(b.loss)];
    const [firstGradients, secondGradients] = [await numbersOf(a.gradients), await numbersOf(b.gradients)];
    const expected = firstGradients.map((grad, at) => 0.5 * grad + 3 * (secondGradients[at] as number));
    for (const microBatchSize of [7, 3]) {
      const { loss, terms, gradients } = await prepareBatchGradients(engine, both, microBatchSize)(networks, batch);
      t.true(relativeDifference([await numberOf(loss)], [0.5 * first + 3 * second]) < 1e-5);
      t.true(relativeDifference([await numberOf(terms['nt-xent'] as Scalar)], [first]) < 1e-5);
      t.true(relativeDifference([await numberOf(terms.size as Scalar)], [second]) < 1e-5);
      t.true(relativeDifference(await numbersOf(gradients), expected) < 1e-5);
    }
  },
);

testOnEngines(
  test,
  engines,
  'descending a contrastive loss in parts brings views of an image together',
  async (t, engine) => {
    const simclr = twoViews([contrast(1)]);
    const takeStep = prepareTestStep(engine, simclr, 3);
    const batch = noiseBatch(simclr, 7);
    let state = initialState(simclr.method, ['first', 'second'], 0);
    const losses: number[] = [];
    for (let step = 1; step <= 30; step++) {
      const taken = await takeStep(state, batch, { learningRate: 0.01, weightDecay: 0 });
      state = taken.state;
      losses.push(taken.loss);
    }
    t.true((losses.at(-1) as number) < 0.5 * (losses[0] as number), `${losses[0]} to ${losses.at(-1)}`);
  },
);

type Seen = { seen: Tensor };

/** A student whose head has batch norm predicts what its teacher's gives: BYOL without its second view. */
function batchNormedHeads() {
  const head = { 'fc.weight': [WIDTH, WIDTH], 'fc.bias': [WIDTH], 'bn.weight': [WIDTH], 'bn.bias': [WIDTH] } as const;
  const follows = (of: string) => ({ by: 'ema', of, decay: 'emaDecay' }) as const;
  return madeUp<Outputs, Seen>({
    networks: {
      encoder: { shapes: LINEAR, role: { by: 'gradient' } },
      head: { shapes: head, role: { by: 'gradient' } },
      teacher: { shapes: LINEAR, role: follows('encoder') },
      teacher_head: { shapes: head, role: follows('head') },
    },
    targets: ({ teacher }, { views }) => ({ seen: linear(teacher, views.image).square() }),
    outputs: ({ encoder }, { views }) => ({ z: linear(encoder, views.image) }),
    terms: [
      {
        name: 'regression',
        weight: 2,
        over: 'batch',
        rows: ({ z }) => z,
        targetRows: ({ seen }) => seen,
        heads: ['head', 'teacher_head'],
        compute(rows, _drawn, _rates, { targets, heads: { head: own, teacher_head: teachers } }) {
          const through = (parameters: typeof own, x: Tensor) =>
            normaliseRows(project(parameters, 'fc', x), parameters['bn.weight'], parameters['bn.bias']).tanh();
          return through(own, rows)
            .sub(through(teachers, targets as Tensor))
            .square()
            .mean();
        },
      },
    ],
    rates: { emaDecay: () => 0.9 },
  });
}

testOnEngines(
  test,
  engines,
  'a head with batch norm sees the whole batch, in three uneven parts too, and learns from it',
  async (t, engine) => {
    const byol = batchNormedHeads();
    const networks = initialNetworks(byol.method, 0);
    const batch = noiseBatch(byol, 7);
    const whole = await prepareBatchGradients(engine, byol)(networks, batch);
    const parts = await prepareBatchGradients(engine, byol, 3)(networks, batch);
    t.deepEqual(Object.keys(whole.gradients), ['encoder', 'head']);
    t.true(relativeDifference([await numberOf(parts.loss)], [await numberOf(whole.loss)]) < 1e-5);
    t.true(relativeDifference(await numbersOf(parts.gradients), await numbersOf(whole.gradients)) < 1e-5);
    t.true((await numbersOf({ head: whole.gradients.head })).some((grad) => Math.abs(grad) > 1e-3));
  },
);
