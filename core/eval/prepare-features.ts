import { compileWhole, type Engine } from '../engine/contract.js';
import { type Tensor, tf } from '../engine/tf.js';
import type { ImageEncoder } from '../nn/backbone.js';
import { isResNet } from '../nn/sizes.js';
import { norm, project, tokensFrom } from '../nn/vit.js';
import { type FeatureNetwork, networkBackbone, transformerBackbone } from './network.js';

/** How many of the last layers a network's features have, L. */
export function featureLayers({ size }: Pick<FeatureNetwork, 'size'>): number {
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

/**
 * The same for the attention that each patch gets in the last block, in the mean over its h heads, [B, N]: from the class token
 * where there is one, otherwise in the mean over all patches. softmax(q kᵀ / √(D/h)) of the block's queries and keys.
 * @returns null where the block cannot be looked into: it is the only one, or has biases of positions
 */
export function prepareAttention(engine: Engine, network: FeatureNetwork, least?: number) {
  const { size } = network;
  if (isResNet(size) || size.depth < 2 || size.relativePositions) return null;
  const { depth, dim, heads, classToken = false, normEpsilon } = size;
  const vit = transformerBackbone(network, 'attention');
  const block = `blocks.${depth - 1}`;
  return prepare(engine, network, least, vit, (images) => {
    const [before] = vit.blockOutputs(network.encoder, images, 2); // [B, N', D]
    const qkv = project(
      network.encoder,
      `${block}.attn.qkv`,
      norm(network.encoder, `${block}.norm1`, before, normEpsilon),
    );
    const [imageCount, tokens] = [qkv.shape[0], vit.patchCount + (classToken ? 1 : 0)];
    const part = (at: number) =>
      tf
        .slice(qkv, [0, 0, at * dim], [-1, -1, dim])
        .reshape([imageCount, tokens, heads, dim / heads])
        .transpose([0, 2, 1, 3]);
    const queries = classToken ? tf.slice(part(0), [0, 0, 0, 0], [-1, -1, 1, -1]) : part(0); // [B, h, 1 or N, D/h]
    const weights = tf.softmax(tf.matMul(queries, part(1), false, true).mul(1 / Math.sqrt(dim / heads))); // [B, h, 1 or N, N']
    return tokensFrom(weights.mean(1).mean(1).expandDims(2), classToken ? 1 : 0).squeeze([2]); // [B, N]
  });
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
