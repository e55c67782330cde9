import type { Tensor } from '../../core/engine/tf.js';
import type { Method, Tensors } from '../../core/methods/method.js';
import type { Parameters } from '../../core/nn/parameters.js';
import { project } from '../../core/nn/vit.js';
import type { Trainable } from './training.js';

/** Side of the images of made-up methods, and the width of what their networks give. */
const SIDE = 4;
export const WIDTH = 6;
const PIXELS = 3 * SIDE ** 2;

/** The shapes of a network of one linear layer. */
export const LINEAR = { 'fc.weight': [WIDTH, PIXELS], 'fc.bias': [WIDTH] } as const;

/** Images through such a network: [B, S, S, 3] -> [B, D]. */
export function linear(parameters: Parameters | undefined, images: Tensor | undefined): Tensor {
  if (!parameters || !images) throw new Error('there is no such network or view');
  return project(parameters, 'fc', images.reshape([images.shape[0] as number, PIXELS]));
}

/** A method made up for a test, which says what it is about: the rest is as plain as can be. */
export function madeUp<Outputs extends Tensors, Targets extends Tensors>(
  method: Pick<Method<Outputs, Targets>, 'networks' | 'targets' | 'outputs' | 'terms'> &
    Partial<Method<Outputs, Targets>>,
): Trainable {
  const plain = {
    views: [{ name: 'image', count: 1 }],
    encoders: { own: Object.keys(method.networks)[0] as string },
    sizes: {},
    masks: {},
    rates: {},
    logs: [],
    dispose: () => {},
  };
  return { method: { ...plain, ...method }, options: { imageSize: SIDE } };
}
