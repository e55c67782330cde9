import { createHash } from 'node:crypto';
import { UserError } from '../base/errors.js';
import { mapValues } from '../base/map-values.js';
import { RandomStream } from '../base/random.js';
import { tf } from '../engine/tf.js';
import type { AnyEncoderFile, NetworkFacts } from '../exchange/encoder-file.js';
import { readAnyEncoder } from '../exchange/read.js';
import { type Backbone, createVit, type ImageEncoder } from '../nn/backbone.js';
import { createImageEncoder, shapesOfEncoder } from '../nn/image-encoder.js';
import { initialValue, type Parameters } from '../nn/parameters.js';
import { type EncoderSize, encoderName, isResNet, type VitSize } from '../nn/sizes.js';

/** A frozen encoder that turns images into features. */
export interface FeatureNetwork {
  readonly encoder: Parameters;
  readonly size: EncoderSize;
  readonly patchSize: number;
  /** Side of the images that it is given, in pixels. */
  readonly imageSize: number;
  /** Side of the images that it was trained on; elsewhere its positions are interpolated. */
  readonly trainedImageSize: number;
  /** Positions at that size, [N, D], where they are not the sine-cosine ones. */
  readonly positions?: Float32Array | null;
  /** 'ViT-S/16', 'RN50'; see `encoderName`. */
  readonly arch: string;
  /** Where it comes from, and the SHA-256 of its tensors: names, shapes and bytes. */
  readonly facts: NetworkFacts & { fingerprint: string };
  /** What a user should know of how its file was understood. */
  readonly notes?: readonly string[];
  dispose(): void;
}

/**
 * Reads an encoder.
 * @param checkpoint what holds it; see `readAnyEncoder`
 * @param encoder its name; default: the one by which the method is judged
 * @throws UserError if it is missing, damaged, no checkpoint, or its tensors are of another model than it says
 */
export async function loadNetwork(checkpoint: string, encoder: string | null = null): Promise<FeatureNetwork> {
  return networkOf(await readAnyEncoder(checkpoint, encoder));
}

/** A network of the same sizes with fresh weights. */
export function randomNetwork(like: FeatureNetwork, seed: number): FeatureNetwork {
  const { size: encoder, patchSize, trainedImageSize } = like;
  const size = { imageSize: trainedImageSize, patchSize, encoder };
  const stream = new RandomStream(seed, 'init/encoder');
  const fresh = (name: string, shape: readonly number[]) => ({ shape, data: initialValue(name, shape, stream) });
  const tensors = new Map(Object.entries(shapesOfEncoder(size)).map(([name, shape]) => [name, fresh(name, shape)]));
  const unknown = { method: null, encoder: null, epochs: null, pretrainedOn: null, checkpoint: null };
  const facts = { ...unknown, weights: 'random', isUsualEncoder: true } as const;
  return { ...networkOf({ size, tensors, positions: null, facts, names: [], notes: [] }), imageSize: like.imageSize };
}

/**
 * The same network for images of another size; it shares its weights, and disposing of either is enough.
 * @throws UserError if patches do not divide the size
 */
export function atImageSize(network: FeatureNetwork, imageSize: number): FeatureNetwork {
  const { patchSize } = network;
  if (Number.isInteger(imageSize) && imageSize >= patchSize && imageSize % patchSize === 0) {
    return { ...network, imageSize };
  }
  throw new UserError(`images of ${imageSize} pixels cannot be cut into patches of ${patchSize}`, {
    expected: `an image size that is a multiple of ${patchSize}`,
    remedy: `use --image-size ${Math.max(1, Math.round(imageSize / patchSize)) * patchSize}`,
  });
}

/** A network at its image size, for its weights: positions that it was not trained at are interpolated. */
export function networkBackbone(network: FeatureNetwork): ImageEncoder {
  return createImageEncoder({ ...network, encoder: network.size });
}

/** The same of a vision transformer. @param what it is needed for, for messages. @throws UserError for a residual network */
export function transformerBackbone(network: FeatureNetwork, what: string): Backbone {
  return createVit({ ...network, encoder: transformerSize(network, what) });
}

/** The sizes of a vision transformer. @param what they are needed for, for messages. @throws UserError for a residual network */
export function transformerSize({ size, arch }: Pick<FeatureNetwork, 'size' | 'arch'>, what: string): VitSize {
  if (!isResNet(size)) return size;
  throw new UserError(`${what} is of vision transformers, and the encoder is a ${arch}`, {
    expected: 'a checkpoint of a vision transformer',
    remedy: 'name another checkpoint',
  });
}

function networkOf({ size: shape, tensors, positions, facts, notes }: AnyEncoderFile): FeatureNetwork {
  const { encoder: size, patchSize, imageSize } = shape;
  const encoder: Parameters = mapValues(Object.fromEntries(tensors), ({ shape, data }) => tf.tensor(data, [...shape]));
  return {
    encoder,
    size,
    patchSize,
    imageSize,
    trainedImageSize: imageSize,
    positions,
    arch: encoderName(size, patchSize),
    facts: { ...facts, fingerprint: fingerprintOf({ tensors, positions }) },
    notes,
    dispose: () => tf.dispose(encoder),
  };
}

/** SHA-256 of an encoder's tensors: names, shapes and bytes. */
export function fingerprintOf({ tensors, positions }: Pick<AnyEncoderFile, 'tensors' | 'positions'>): string {
  const hash = createHash('sha256');
  for (const [name, { shape, data }] of [...tensors].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`${name}\0${shape.join()}\0`);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  if (positions) hash.update(new Uint8Array(positions.buffer, positions.byteOffset, positions.byteLength));
  return hash.digest('hex');
}
