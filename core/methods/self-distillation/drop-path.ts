import type { RandomStream } from '../../base/random.js';
import type { DrawnNumbers } from '../../contract/objectives.js';
import { type Tensor, tf } from '../../engine/tf.js';

/**
 * Stochastic depth (Huang et al. 2016; official codes, `DropPath`): by what both branches of block l, from 0, of L blocks are
 * multiplied for each of C crops of an image: 0 with the probability p_l = p l / (L - 1), 1 / (1 - p_l) otherwise.
 * @returns [B, C, 2L]
 */
export function drawBranches(
  stream: RandomStream,
  { images, crops, depth, dropPath }: Record<'images' | 'crops' | 'depth' | 'dropPath', number>,
): DrawnNumbers {
  const values = new Float32Array(images * crops * 2 * depth).map((_, at) => {
    const block = Math.floor((at % (2 * depth)) / 2);
    const dropped = (dropPath * block) / Math.max(1, depth - 1);
    return stream.uniform() < dropped ? 0 : 1 / (1 - dropped);
  });
  return { shape: [images, crops, 2 * depth], values };
}

/**
 * What was drawn in the order in which crops are encoded: of two large crops the first ones of all images before the second
 * ones, of small crops those of an image side by side: [2B, 2L], [(C - 2) B, 2L].
 */
export function branchesOf(drawn: Tensor | undefined): { large?: Tensor; small?: Tensor } {
  if (!drawn) return {};
  const [images, crops, branches] = drawn.shape as [number, number, number];
  const [first, second, ...small] = tf.split(drawn, crops > 2 ? [1, 1, crops - 2] : 2, 1); // [B, 1, 2L]
  return {
    large: tf.concat([first, second]).reshape([2 * images, branches]),
    ...(small[0] && { small: small[0].reshape([-1, branches]) }),
  };
}
