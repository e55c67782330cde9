/**
 * Layer-wise learning rate decay (BEiT, Bao et al. 2022; MAE, He et al. 2022): the part of the learning rate with which
 * each parameter is trained.
 *
 *   factor = decay ^ (L + 1 - layer)
 *
 * The patch embedding is layer 0, block i (from 0) is layer i + 1; the final norm and the head are layer L + 1 and learn
 * with the whole rate.
 * Letters: L blocks.
 * @param names of the encoder's and the head's parameters
 * @param depth L
 * @returns factors by name
 */
export function layerRates(names: readonly string[], depth: number, decay: number): Readonly<Record<string, number>> {
  return Object.fromEntries(names.map((name) => [name, decay ** (depth + 1 - layerOf(name, depth))]));
}

/** The layer to which a parameter belongs, from 0 to L + 1. */
export function layerOf(name: string, depth: number): number {
  if (name.startsWith('patch_embed.')) return 0;
  if (name.startsWith('norm.') || name.startsWith('head.')) return depth + 1;
  const block = Number(/^blocks\.(\d+)\./.exec(name)?.[1]);
  if (block < depth) return block + 1;
  throw new Error(`there is no layer for the parameter '${name}' in an encoder of ${depth} blocks`);
}
