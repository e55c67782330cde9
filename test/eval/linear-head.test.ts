import test from 'ava';
import { RandomStream } from '../../core/base/random.js';
import { type Tensor1D, type Tensor2D, tf } from '../../core/engine/tf.js';
import { groupHeads, groupStep, initialGroupState, testLogits } from '../../core/eval/head-group.js';
import { decorrelation } from '../../core/eval/linear.js';
import { classProbabilities, linearHead } from '../../core/eval/linear-head.js';
import { LINEAR_PROTOCOL } from '../../core/eval/protocols.js';
import { pieces, type Samples, standardise } from '../../core/eval/samples.js';
import type { FeatureKind, HeadNorm } from '../../core/plugin.js';
import { findEngines, testOnEngines, withoutOpenvino } from '../helpers/engines.js';

const [ROWS, WIDTH, LAYERS, CLASSES] = [24, 3, 2, 4];

/** Features far from 0 and of very different spreads, one of which does not vary. */
function someSamples(): Samples {
  const stream = new RandomStream(0, 'samples');
  const columns = WIDTH * LAYERS;
  const data = Float32Array.from({ length: ROWS * columns }, (_, i) => {
    const column = i % columns;
    return column === 4 ? 7 : 5 * column + 0.2 * (column + 1) * stream.normal();
  });
  const labels = Int32Array.from({ length: ROWS }, (_, row) => row % CLASSES);
  return { rows: ROWS, width: WIDTH, layers: LAYERS, data, labels };
}

testOnEngines(test, withoutOpenvino(await findEngines()), 'a trained head is one linear map', async (t, engine) => {
  const samples = someSamples();
  for (const features of ['last', 'last-4'] satisfies FeatureKind[]) {
    for (const norm of ['batch', 'none'] satisfies HeadNorm[]) {
      for (const decorrelated of [true, false]) {
        const choices = [0, 0.1].map((weightDecay) => ({ features, norm, learningRateFactor: 1, weightDecay }));
        const [group] = groupHeads(choices, WIDTH, LAYERS, CLASSES);
        if (!group) return t.fail();
        if (decorrelated) group.decorrelation = await decorrelation(engine, standardise(samples, features));
        const standardiser = decorrelated ? standardise(samples, 'last-4').standardiser : undefined;
        const [piece] = pieces({ samples, features: 'last-4', standardiser }, ROWS);
        if (!piece) return t.fail();
        const [x, labels] = [tf.tensor2d(piece.rows, piece.shape), tf.tensor1d(piece.labels, 'int32')];
        const settings = { ...LINEAR_PROTOCOL, optimiser: 'sgd' as const, decorrelated };
        let state = initialGroupState(group, 0);
        for (let step = 0; step < 5; step++) {
          state = groupStep(group, settings, state, x as Tensor2D, labels as Tensor1D, tf.fill([2, 1], 0.1));
        }
        const expected = await tf.softmax(testLogits(group, state, x).reshape([ROWS, 2, CLASSES])).data();
        const head = await linearHead(group, state, 1, standardiser);
        t.is(head.features, features);
        const columns = WIDTH * LAYERS;
        for (let row = 0; row < ROWS; row++) {
          const own = samples.data.subarray((row + 1) * columns - head.mean.length, (row + 1) * columns);
          for (const [c, probability] of classProbabilities(head, own).entries()) {
            const difference = Math.abs(probability - expected[(row * 2 + 1) * CLASSES + c]);
            t.true(difference < 1e-4, `${features}, ${norm}, ${decorrelated}: row ${row} is off by ${difference}`);
          }
        }
      }
    }
  }
});
