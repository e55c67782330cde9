import { tileBatch } from '../engine/functions.js';
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
 * @param context what the context encoder gave, [C B, K', D]: K' = K, or 1 + K with a class token
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
  const { tokenCount } = contextMask;
  const contextRows = contextMask.maskCount * contextMask.imageCount;
  const classTokens = (context.shape[1] as number) - tokenCount;
  if (context.shape[0] !== contextRows || (classTokens !== 0 && classTokens !== 1)) {
    throw new Error(`predict expected a context of [${contextRows}, ${tokenCount}, D], received [${context.shape}]`);
  }
  const patchPositions = keepPositions(positions, contextMask); // [C B, K, E]
  const ofClass = () => tf.zeros([contextRows, 1, size.dim]);
  const places = classTokens === 0 ? patchPositions : tf.concat([ofClass(), patchPositions], 1); // [C B, K', E]
  const visible = project(parameters, 'predictor_embed', context).add(places); // [C B, K', E]
  const maskTokens = keepPositions(positions, targetMask).add(parameter(parameters, 'mask_token')); // [T B, J, E]

  const tokens = tf.concat(
    [
      tf.tile(visible, [targetMask.maskCount, 1, 1]), // [T C B, K', E]
      repeatMasks(maskTokens, targetMask, contextMask.maskCount), // [T C B, J, E]
    ],
    1,
  ); // [T C B, K' + J, E]
  const queryOffset = visible.shape[1] as number;
  const [predicted] = tileBatch([tokens], positions.shape[0] * hiddenWidth(size), ([tile]) => {
    const blocks = transformerBlocks(parameters, 'predictor_blocks', size, tile, { queryOffset }); // [., J, E]
    return blocks.map((x) => project(parameters, 'predictor_proj', norm(parameters, 'predictor_norm', x)));
  });
  return predicted;
}
