import { createHash } from 'node:crypto';
import { UserError } from '../base/errors.js';
import { mapValues } from '../base/map-values.js';
import { RandomStream } from '../base/random.js';
import { tf } from '../engine/tf.js';
import type { EncoderFile, NetworkFacts } from '../exchange/encoder-file.js';
import { readEncoder } from '../exchange/read.js';
import { type Backbone, createVit } from '../nn/backbone.js';
import { encoderShapes, initialValue, type Parameters } from '../nn/parameters.js';
import { ARCHITECTURE_NAMES, ARCHITECTURES, type VitSize } from '../nn/sizes.js';

/** A frozen encoder that turns images into features. */
export interface FeatureNetwork {
  readonly encoder: Parameters;
  readonly size: VitSize;
  readonly patchSize: number;
  /** Side of the images that it is given, in pixels. */
  readonly imageSize: number;
  /** Side of the images that it was trained on; elsewhere its positions are interpolated. */
  readonly trainedImageSize: number;
  /** Positions at that size, [N, D], where they are not the sine-cosine ones. */
  readonly positions?: Float32Array | null;
  /** 'ViT-S/16', or 'ViT 96x4/8' for sizes without a name. */
  readonly arch: string;
  /** Where it comes from, and the SHA-256 of its tensors: names, shapes and bytes. */
  readonly facts: NetworkFacts & { fingerprint: string };
  /** What a user should know of how its file was understood. */
  readonly notes?: readonly string[];
  dispose(): void;
}

/** How the paper calls them: 'ViT-S'. */
const LETTERS = {
  'vit-tiny': 'Ti',
  'vit-small': 'S',
  'vit-base': 'B',
  'vit-large': 'L',
  'vit-huge': 'H',
  'vit-giant': 'G',
};

/**
 * Reads an encoder.
 * @param checkpoint what holds it; see `readEncoder`
 * @param encoder its name; default: the one by which the method is judged
 * @throws UserError if it is missing, damaged, no checkpoint, or its tensors are of another model than it says
 */
export async function loadNetwork(checkpoint: string, encoder: string | null = null): Promise<FeatureNetwork> {
  return networkOf(await readEncoder(checkpoint, encoder));
}

/** A network of the same sizes with fresh weights. */
export function randomNetwork(like: FeatureNetwork, seed: number): FeatureNetwork {
  const { size: encoder, patchSize, trainedImageSize } = like;
  const size = { imageSize: trainedImageSize, patchSize, encoder };
  const stream = new RandomStream(seed, 'init/encoder');
  const fresh = (name: string, shape: readonly number[]) => ({ shape, data: initialValue(name, shape, stream) });
  const tensors = new Map(Object.entries(encoderShapes(size)).map(([name, shape]) => [name, fresh(name, shape)]));
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
export function networkBackbone(network: FeatureNetwork): Backbone {
  return createVit({ ...network, encoder: network.size });
}

function networkOf({ size: shape, tensors, positions, facts, notes }: EncoderFile): FeatureNetwork {
  const { encoder: size, patchSize, imageSize } = shape;
  const encoder: Parameters = mapValues(Object.fromEntries(tensors), ({ shape, data }) => tf.tensor(data, [...shape]));
  return {
    encoder,
    size,
    patchSize,
    imageSize,
    trainedImageSize: imageSize,
    positions,
    arch: architectureName(size, patchSize),
    facts: { ...facts, fingerprint: fingerprintOf({ tensors, positions }) },
    notes,
    dispose: () => tf.dispose(encoder),
  };
}

/** 'ViT-S/16', or 'ViT 96x4/8' for sizes without a name. */
export function architectureName(size: VitSize, patchSize: number): string {
  const numbers = ({ dim, depth, heads, mlpRatio }: VitSize) => [dim, depth, heads, mlpRatio].join();
  const known = ARCHITECTURE_NAMES.find((name) => numbers(ARCHITECTURES[name]) === numbers(size));
  return `ViT${known ? `-${LETTERS[known]}` : ` ${size.dim}x${size.depth}`}/${patchSize}`;
}

/** SHA-256 of an encoder's tensors: names, shapes and bytes. */
export function fingerprintOf({ tensors, positions }: Pick<EncoderFile, 'tensors' | 'positions'>): string {
  const hash = createHash('sha256');
  for (const [name, { shape, data }] of [...tensors].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`${name}\0${shape.join()}\0`);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  if (positions) hash.update(new Uint8Array(positions.buffer, positions.byteOffset, positions.byteLength));
  return hash.digest('hex');
}
