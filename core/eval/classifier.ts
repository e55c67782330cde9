import { RandomStream } from '../base/random.js';
import { linear } from '../engine/functions.js';
import { type Scalar, type Tensor, tf } from '../engine/tf.js';
import type { Backbone } from '../nn/backbone.js';
import { type Parameters, parameter } from '../nn/parameters.js';
import { type FeatureNetwork, networkBackbone } from './network.js';

/** An encoder with a linear head on its average-pooled, layer-normed patches. It has no weights, as `Ijepa`. */
export interface Classifier {
  readonly backbone: Backbone;
  readonly classes: number;
  dispose(): void;
}

/** The classifier for a network's weights and image size. */
export function createClassifier(network: FeatureNetwork, classes: number): Classifier {
  const backbone = networkBackbone(network);
  return { backbone, classes, dispose: () => backbone.dispose() };
}

/**
 * The weights from which fine-tuning starts: copies of the encoder's, and a fresh head of normal weights and no
 * bias.
 *
 * Letters: C classes, D width.
 * @returns the encoder's names, `head.weight` [C, D] and `head.bias` [C]; the caller's to dispose
 */
export function initialClassifier(
  { backbone, classes }: Classifier,
  encoder: Parameters,
  headDeviation: number,
  seed: number,
): Parameters {
  const { dim } = backbone.encoder;
  const stream = new RandomStream(seed, 'fine-tune/head');
  const weight = Float32Array.from({ length: classes * dim }, () => headDeviation * stream.normal());
  const copies = Object.entries(encoder).map(([name, tensor]) => [name, tensor.clone()]);
  return {
    ...Object.fromEntries(copies),
    'head.weight': tf.tensor2d(weight, [classes, dim]),
    'head.bias': tf.zeros([classes]),
  };
}

/**
 * W mean_n(LayerNorm(encoder(x)_n)) + b
 *
 * Letters: B images, S side, N patches, D width, C classes.
 * @param images normalised, [B, S, S, 3]
 * @returns [B, C]
 */
export function logitsOf(classifier: Classifier, parameters: Parameters, images: Tensor): Tensor {
  const { backbone } = classifier;
  const { imageSize } = backbone;
  if (images.shape[1] !== imageSize) {
    throw new Error(`the classifier expected images of ${imageSize} px, received [${images.shape}]`);
  }
  const pooled = backbone.features(parameters, images, 1); // [B, D]
  return linear(pooled, parameter(parameters, 'head.weight'), parameter(parameters, 'head.bias'));
}

/**
 * Softmax cross-entropy, averaged over the images: -1/B Σ_b y_b · log softmax(z_b)
 *
 * Letters: B images, C classes.
 * @param logits z, [B, C]
 * @param targets what is right, as rows of sum 1, [B, C]
 */
export function crossEntropy(logits: Tensor, targets: Tensor): Scalar {
  if (logits.shape.join() !== targets.shape.join()) {
    throw new Error(`cross-entropy expected targets of [${logits.shape}], received [${targets.shape}]`);
  }
  return tf
    .logSoftmax(logits)
    .mul(targets)
    .sum()
    .div(-(logits.shape[0] as number));
}
