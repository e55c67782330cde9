import { inParts } from '../engine/functions.js';
import { type Tensor, tf } from '../engine/tf.js';
import { type Parameters, parameter } from './parameters.js';
import { hiddenWidth, type VitSize } from './sizes.js';
import { keepPositions, type MaskTensors, repeatMasks } from './tokens.js';
import { norm, project, transformerBlocks } from './vit.js';

/**
 * Predicts the representations of each target block from the context (paper, section 3; appendix A.1).
 *
 * For every target block the input is the context's tokens followed by one mask token for each patch of the block: a
 * learned vector plus the patch's position. Blocks do not see one another: each is a row of the batch.
 *
 * Letters: B images, C context masks, T target masks, K and J patches that they keep, N patches, D encoder's width,
 * E predictor's width.
 * @param context what the context encoder gave, [C B, K, D]
 * @param positions the predictor's positions, [N, E]
 * @returns [T C B, J, D]: target mask by target mask, within one context mask by context mask
 */
export function predict(
  parameters: Parameters,
  size: VitSize,
  context: Tensor,
  positions: Tensor,
  contextMask: MaskTensors,
  targetMask: MaskTensors,
): Tensor {
  const contextRows = contextMask.maskCount * contextMask.imageCount;
  if (context.shape[0] !== contextRows || context.shape[1] !== contextMask.tokenCount) {
    throw new Error(
      `predict expected a context of [${contextRows}, ${contextMask.tokenCount}, D], received [${context.shape}]`,
    );
  }
  const visible = project(parameters, 'predictor_embed', context).add(keepPositions(positions, contextMask)); // [C B, K, E]
  const maskTokens = keepPositions(positions, targetMask).add(parameter(parameters, 'mask_token')); // [T B, J, E]

  const tokens = tf.concat(
    [
      tf.tile(visible, [targetMask.maskCount, 1, 1]), // [T C B, K, E]
      repeatMasks(maskTokens, targetMask, contextMask.maskCount), // [T C B, J, E]
    ],
    1,
  ); // [T C B, K + J, E]
  return inParts(tokens, (positions.shape[0] as number) * hiddenWidth(size), (rows) => {
    const atMasks = transformerBlocks(parameters, 'predictor_blocks', size, rows, contextMask.tokenCount); // [., J, E]
    return project(parameters, 'predictor_proj', norm(parameters, 'predictor_norm', atMasks));
  });
}
