/** How an optimiser treats the parameters of a network. */
export interface ParameterPolicy {
  /** Whether weight decay applies; default: to what has more than one dimension, not to biases and scales. */
  isDecayed?(name: string, shape: readonly number[]): boolean;
  /** Multiplies the learning rate (and with it, decoupled weight decay); default: 1. */
  learningRateFactor?(name: string): number;
}

/**
 * Layer-wise learning rate decay (BEiT, Bao et al. 2022; MAE, He et al. 2022): the fraction of the learning rate with which
 * each parameter of an encoder is trained.
 *
 *   factor = decay ^ (L + 1 - layer)
 *
 * The patch embedding and the class token are layer 0, block i (from 0) is layer i + 1; what blocks share (relative
 * positions) and the final norm are layer L + 1 and learn with the whole rate, as a head does.
 *
 * Letters: L blocks.
 * @param depth L
 */
export function layerWiseRates(depth: number, decay: number): ParameterPolicy {
  return { learningRateFactor: (name) => decay ** (depth + 1 - layerOf(name, depth)) };
}

/** The layer to which a parameter belongs, from 0 to L + 1. */
function layerOf(name: string, depth: number): number {
  if (name.startsWith('patch_embed.') || name === 'cls_token' || name === 'mask_token') return 0;
  if (name.startsWith('norm.') || name.startsWith('rel_pos_bias.')) return depth + 1;
  const block = Number(/^blocks\.(\d+)\./.exec(name)?.[1]);
  if (block < depth) return block + 1;
  throw new Error(`there is no layer for the parameter '${name}' in an encoder of ${depth} blocks`);
}
