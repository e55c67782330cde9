import { linear } from '../../engine/functions.js';
import { type Scalar, type Tensor, tf } from '../../engine/tf.js';
import type { Backbone } from '../../nn/backbone.js';
import { parameter } from '../../nn/parameters.js';
import { layerWiseRates } from '../../optim/policy.js';
import type { DrawnGroup, Method, Networks } from '../method.js';

/** What is the same for all that learns from `labels` of the batch, by the cross-entropy of its logits. */
export const SUPERVISED = {
  masks: {},
  targets: () => ({}),
  terms: [
    {
      name: 'crossEntropy',
      weight: 1,
      over: 'images',
      compute: ({ logits }, _targets, { values }) => crossEntropy(logits, values.labels),
    },
  ],
  rates: {},
  logs: [],
  dispose: () => {},
} satisfies Partial<Method<{ logits: Tensor }>>;

/**
 * Supervised fine-tuning of a whole encoder with a linear head on its average-pooled, layer-normed patches, with layer-wise
 * learning rates (BEiT, MAE). It is trained as self-supervised methods are; what it predicts are `labels` of the batch.
 *
 * Letters: B images, S their side, C classes, D width.
 * @param layerDecay factor of the learning rate from a layer to the one below it
 */
export function fineTuning(backbone: Backbone, classes: number, layerDecay: number): Method<{ logits: Tensor }> {
  const { encoder: size, shapes } = backbone;
  return {
    networks: {
      encoder: { shapes, role: { by: 'gradient', policy: layerWiseRates(size.depth, layerDecay) } },
      head: { shapes: { weight: [classes, size.dim], bias: [classes] }, role: { by: 'gradient' } },
    },
    views: [{ name: 'image', count: 1 }],
    encoders: { tuned: 'encoder' },
    sizes: { encoder: size },
    ...SUPERVISED,
    outputs: (networks, { views }) => ({ logits: logitsOf(backbone, networks, views.image) }),
  };
}

/**
 * W mean_n(LayerNorm(encoder(x)_n)) + b
 * @param images normalised, [B, S, S, 3]
 * @returns [B, C]
 */
export function logitsOf(backbone: Backbone, { encoder = {}, head = {} }: Networks, images: Tensor): Tensor {
  const pooled = backbone.features(encoder, images, 1); // [B, D]
  return linear(pooled, parameter(head, 'weight'), parameter(head, 'bias'));
}

/**
 * The images of a batch with their right classes as rows, smoothed: 1 - s + s / C there and s / C elsewhere, [B, C].
 * @param smoothing s
 */
export function labelledGroup(labels: Int32Array, classes: number, smoothing: number): DrawnGroup {
  const values = new Float32Array(labels.length * classes).fill(smoothing / classes);
  for (const [row, label] of labels.entries()) {
    if (label < 0 || label >= classes) throw new Error(`an image is of class ${label} of ${classes}`);
    values[row * classes + label] = 1 - smoothing + smoothing / classes;
  }
  return { imageCount: labels.length, masks: {}, values: { labels: { shape: [labels.length, classes], values } } };
}

/**
 * Softmax cross-entropy, averaged over the images: -1/B Σ_b y_b · log softmax(z_b)
 * @param logits z, [B, C]
 * @param labels y, rows of sum 1, [B, C]
 */
function crossEntropy(logits: Tensor, labels: Tensor): Scalar {
  if (logits.shape.join() !== labels.shape.join()) {
    throw new Error(`cross-entropy expected labels of [${logits.shape}], received [${labels.shape}]`);
  }
  const sum = tf.logSoftmax(logits).mul(labels).sum();
  return sum.div(-logits.shape[0]);
}
