import { mapValues } from '../base/map-values.js';
import { RandomStream } from '../base/random.js';
import type { DrawnNumbers } from '../contract/objectives.js';
import { type Tensor, tf } from '../engine/tf.js';
import { lengthOf } from '../nn/parameters.js';
import type { BatchDraw, DrawnGroup, Method } from './method.js';

/** What a method draws for a step, counted from 1, from the step's own stream. */
export function drawBatch({ draw }: Pick<Method, 'draw'>, seed: number, step: number, imageCount: number): BatchDraw {
  return draw?.(new RandomStream(seed, 'masks', step), imageCount) ?? { groups: [{ imageCount, masks: {} }] };
}

/** Patches that each mask keeps, as means over the images. */
export function meanPatches(groups: readonly DrawnGroup[]): Record<string, number> {
  const images = groups.reduce((sum, { imageCount }) => sum + imageCount, 0);
  const sums: Record<string, number> = {};
  for (const { imageCount, masks } of groups) {
    for (const [name, { tokenCount }] of Object.entries(masks))
      sums[name] = (sums[name] ?? 0) + imageCount * tokenCount;
  }
  return mapValues(sums, (sum) => sum / images);
}

/** The sides of the views' images in pixels, by name. */
export function viewSides({ views }: Pick<Method, 'views'>, imageSize: number): Record<string, number> {
  return Object.fromEntries(views.map(({ name, crop }) => [name, crop?.imageSize ?? imageSize]));
}

/** Drawn numbers on the engine, by name; the caller's to dispose. */
export function drawnTensors(numbers: Readonly<Record<string, DrawnNumbers>>): Record<string, Tensor> {
  return mapValues(numbers, ({ shape, values }) => tf.tensor(values, [...shape]));
}

/** Normal noise in the place of images, as the batch of a step has them. */
export function noiseViews(
  { views }: Pick<Method, 'views'>,
  sides: Readonly<Record<string, number>>,
  imageCount: number,
  stream: RandomStream,
): Record<string, Float32Array> {
  const sized = views.map(({ name, count }) => [name, imageCount * count * sides[name] ** 2 * 3] as const);
  return mapValues(Object.fromEntries(sized), (length) => Float32Array.from({ length }, () => stream.normal()));
}

/** Tensors of normal random numbers, one after the other from a stream. */
export function normalTensors(stream: RandomStream): (...shape: number[]) => Tensor {
  return (...shape) => {
    const length = lengthOf(shape);
    const values = Float32Array.from({ length }, () => stream.normal());
    return tf.tensor(values, shape);
  };
}
