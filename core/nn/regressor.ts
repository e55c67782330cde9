import { attention, linear, mlp } from '../engine/functions.js';
import { recomputable } from '../engine/recompute.js';
import { type Tensor, tf } from '../engine/tf.js';
import { linearShapes, normShapes, type ParameterShapes, type Parameters, parameter } from './parameters.js';
import { hiddenWidth, type VitSize } from './sizes.js';
import { linearParameters, norm, project, scaled, tokensFrom } from './vit.js';

/** Shapes of a latent contextual regressor: a mask token, blocks of cross-attention with layer scale, a norm. */
export function regressorShapes(size: VitSize): ParameterShapes {
  const { dim } = size;
  const hidden = hiddenWidth(size);
  const block = Object.entries({
    ...{ gamma_1: [dim], gamma_2: [dim] },
    ...normShapes('norm1_q', dim),
    ...normShapes('norm1_k', dim),
    ...normShapes('norm1_v', dim),
    ...linearShapes('attn.q', dim, dim),
    'attn.k.weight': [dim, dim], // a bias of keys would change no result of attention
    ...linearShapes('attn.v', dim, dim),
    ...linearShapes('attn.proj', dim, dim),
    ...normShapes('norm2', dim),
    ...linearShapes('mlp.fc1', dim, hidden),
    ...linearShapes('mlp.fc2', hidden, dim),
  });
  const blocks = [...Array(size.depth).keys()].flatMap((index) =>
    block.map(([name, shape]) => [`blocks.${index}.${name}`, shape]),
  );
  return { mask_token: [1, 1, dim], ...Object.fromEntries(blocks), ...normShapes('norm', dim) };
}

/**
 * Representations of masked patches from those of visible ones (CAE, Chen et al. 2022, section 3.1; official code,
 * `RegressorBlock`): mask tokens that attend to the visible patches and to one another, `size.depth` times:
 *
 *   a = x + γ₁ attention(norm_q(x + pₓ), norm_k([c, x] + p), norm_v([c, x]))
 *   x = norm(a) + γ₂ mlp(norm(a))
 *
 * Letters: B images, K visible and J masked patches, N = K + J, D width.
 * @param context c, what the encoder gave for the visible patches, [B, K, D]; the same in all blocks
 * @param positions p, of the visible and then the masked patches, [B, N, D]; pₓ are the latter
 * @returns x after a last norm, [B, J, D]
 */
export function regress(parameters: Parameters, size: VitSize, context: Tensor, positions: Tensor): Tensor {
  const [images, patches, width] = positions.shape as [number, number, number];
  const visible = context.shape[1] as number;
  if (context.shape[0] !== images || visible >= patches || context.shape[2] !== width) {
    throw new Error(`regress expected a context of [${images}, K < ${patches}, ${width}], received [${context.shape}]`);
  }
  let x: Tensor = tf.zeros([images, patches - visible, width]).add(parameter(parameters, 'mask_token')); // [B, J, D]
  for (let index = 0; index < size.depth; index++) {
    const names = Object.keys(parameters).filter((name) => name.startsWith(`blocks.${index}.`));
    const own = names.map((name) => parameter(parameters, name));
    x = recomputable([x, context, positions, ...own], (masked, seen, places, ...others) => {
      const named = Object.fromEntries(names.map((name, at) => [name, others[at]]));
      return regressorBlock(named, `blocks.${index}`, size, masked, seen, places);
    });
  }
  return norm(parameters, 'norm', x, size.normEpsilon);
}

/** One block; see `regress`. */
function regressorBlock(
  parameters: Parameters,
  block: string,
  { heads, normEpsilon }: VitSize,
  x: Tensor,
  context: Tensor,
  positions: Tensor,
): Tensor {
  return tf.tidy(() => {
    const [images, visible, width] = context.shape as [number, number, number];
    const normed = (name: string, of: Tensor) => norm(parameters, `${block}.${name}`, of, normEpsilon);
    const attended = tf.tidy(() => {
      const all = tf.concat([context, x], 1); // [B, N, D]
      const asking = normed('norm1_q', x.add(tokensFrom(positions, visible)));
      const queries = project(parameters, `${block}.attn.q`, asking); // [B, J, D]
      const keyWeight = parameter(parameters, `${block}.attn.k.weight`);
      const keys = linear(normed('norm1_k', all.add(positions)), keyWeight, tf.zeros([width])); // [B, N, D]
      const values = project(parameters, `${block}.attn.v`, normed('norm1_v', all)); // [B, N, D]
      const ofAll = tf.concat([tf.zeros([images, visible, width]), queries], 1); // [B, N, D]; the first are not needed
      const mixed = attention(tf.concat([ofAll, keys, values], 2), heads, visible); // [B, J, D]
      const branch = project(parameters, `${block}.attn.proj`, mixed);
      return x.add(scaled(parameters, `${block}.gamma_1`, branch));
    });
    const y = normed('norm2', attended); // the residual path, too, goes on from here
    const layer = (name: string) => linearParameters(parameters, `${block}.mlp.${name}`);
    return y.add(scaled(parameters, `${block}.gamma_2`, mlp(y, layer('fc1'), layer('fc2'))));
  });
}
