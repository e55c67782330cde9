import { compileWhole, type Engine } from '../engine/contract.js';
import { type Tensor, tf } from '../engine/tf.js';
import type { ImageEncoder } from '../nn/backbone.js';
import { isResNet } from '../nn/sizes.js';
import { tokensFrom } from '../nn/vit.js';
import { type FeatureNetwork, networkBackbone, transformerBackbone } from './network.js';

/** How many of the last layers a network's features have, L. */
export function featureLayers({ size }: FeatureNetwork): number {
  return isResNet(size) ? 1 : Math.min(4, size.depth);
}

/**
 * Makes batches of normalised images [B, S, S, 3] as large as the largest before, with black ones at the end: engines
 * compile for one size then, and what an image gives does not depend on how many come with it.
 * @param least images that even the first batch has
 */
export function equalBatches(imageSize: number, least = 0) {
  const imageLength = imageSize * imageSize * 3;
  let largest = least;
  return (images: Float32Array) => {
    const imageCount = images.length / imageLength;
    largest = Math.max(largest, imageCount);
    let filled = images;
    if (imageCount < largest) {
      filled = new Float32Array(largest * imageLength);
      filled.set(images);
    }
    return { input: tf.tensor4d(filled, [largest, imageSize, imageSize, 3]), imageCount };
  };
}

/**
 * Prepares a network for an engine: features [B, L D] of normalised images [B, S, S, 3]; `dispose` when done.
 * @param least images that are always computed together, with black ones where there are fewer
 */
export function prepareFeatures(engine: Engine, network: FeatureNetwork, least?: number) {
  const layers = featureLayers(network);
  const backbone = networkBackbone(network);
  return prepare(engine, network, least, backbone, (images) => backbone.features(network.encoder, images, layers));
}

/** The same for patch tokens [B, N, D] after the last LayerNorm, without the class token. */
export function prepareTokens(engine: Engine, network: FeatureNetwork, least?: number) {
  const vit = transformerBackbone(network, 'patch tokens');
  return prepare(engine, network, least, vit, (images) =>
    tokensFrom(vit.forward(network.encoder, images), vit.encoder.classToken ? 1 : 0),
  );
}

function prepare(
  engine: Engine,
  network: FeatureNetwork,
  least: number | undefined,
  backbone: ImageEncoder,
  fn: (images: Tensor) => Tensor,
) {
  const forward = compileWhole(engine, (_: null, images: Tensor) => tf.tidy(() => fn(images)));
  const inEqualBatches = equalBatches(network.imageSize, least);
  return {
    async compute(images: Float32Array): Promise<Float32Array> {
      const { input, imageCount } = inEqualBatches(images);
      const features = await forward(null, input);
      input.dispose();
      const values = (await features.data()) as Float32Array;
      features.dispose();
      return values.subarray(0, (values.length / input.shape[0]) * imageCount);
    },
    dispose: () => backbone.dispose(),
  };
}
