import { setImmediate } from 'node:timers/promises';
import { toNormalised } from '../data/normalise.js';
import { type Tensor, tf } from '../engine/tf.js';
import type { ImageEncoder } from '../nn/backbone.js';
import type { Parameters } from '../nn/parameters.js';

/** Most images that are encoded at once. */
const MAX_TOGETHER = 32;

/**
 * The features that are judged downstream, of an encoder that is being trained, row by row, [n, L D]. Nothing is compiled
 * for it, as its weights are others each time and what an engine has compiled for training has to stay as it is.
 * @param views RGB, n times [S, S, 3]
 * @param layers how many of the last layers they are of, L
 * @param together most images that are encoded at once
 * @param onBatch is told now and then that it gets on
 */
export async function pooledFeatures(
  backbone: ImageEncoder,
  encoder: Parameters,
  views: readonly Uint8Array[],
  layers: number,
  together: number,
  onBatch: () => void = () => {},
): Promise<Float32Array> {
  const { imageSize: side, encoder: size } = backbone;
  const most = Math.min(MAX_TOGETHER, together);
  const features = new Float32Array(views.length * layers * size.dim);
  for (let from = 0; from < views.length; from += most) {
    await setImmediate(); // lets timers and interrupts in
    onBatch();
    const batch = views.slice(from, from + most);
    const pooled: Tensor = tf.tidy(() => {
      const images = tf.tensor4d(toNormalised(batch), [batch.length, side, side, 3]);
      return backbone.features(encoder, images, layers); // [B, L D]
    });
    features.set(await pooled.data(), from * layers * size.dim);
    pooled.dispose();
  }
  return features;
}
