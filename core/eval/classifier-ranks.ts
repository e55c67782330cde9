import { setImmediate } from 'node:timers/promises';
import type { Engine } from '../engine/contract.js';
import { type Tensor, tf } from '../engine/tf.js';
import type { Parameters } from '../nn/parameters.js';
import { ranksOf } from './accuracy.js';
import { type Classifier, logitsOf } from './classifier.js';
import type { LabelledBatch } from './labelled-batches.js';

/** For each image of the batches the rank of the right class, from 0. */
export type ComputeRanks = (
  weights: Parameters,
  batches: AsyncIterable<LabelledBatch>,
  signal: AbortSignal | undefined,
) => Promise<Int32Array>;

/** Prepares a classifier's test for an engine. */
export function prepareRanks(engine: Engine, classifier: Classifier): ComputeRanks {
  const { backbone, classes } = classifier;
  const { imageSize } = backbone;
  const compute = engine.compile((weights: Parameters, images: Tensor) =>
    tf.tidy(() => logitsOf(classifier, weights, images)),
  );
  return async (weights, batches, signal) => {
    const ranks: number[] = [];
    for await (const { images, labels } of batches) {
      signal?.throwIfAborted();
      if (labels.length === 0) continue;
      const pixels = tf.tensor4d(images, [labels.length, imageSize, imageSize, 3]);
      const logits = await compute(weights, pixels); // [B, C]
      ranks.push(...ranksOf((await logits.data()) as Float32Array, labels, classes));
      tf.dispose([pixels, logits]);
      await setImmediate(); // lets signals in, and images that were decoded meanwhile
    }
    return Int32Array.from(ranks);
  };
}
