import type { RandomStream } from '../base/random.js';
import { attention, mlp } from '../engine/functions.js';
import { type Tensor, tf } from '../engine/tf.js';
import {
  initialValue,
  linearShapes,
  normShapes,
  type ParameterShapes,
  type Parameters,
  parameter,
} from './parameters.js';
import { hiddenWidth, type VitSize } from './sizes.js';
import { linearParameters, norm, project } from './vit.js';

/** Its norms are PyTorch's, also where those of the encoder add 1e-6 to variances. */
const EPSILON = 1e-5;
const BLOCK = 'cross_attention_block';

/** Parameters by the names of the official code (facebookresearch/jepa, `AttentivePooler`). */
export function poolerShapes(size: VitSize): ParameterShapes {
  const { dim } = size;
  const hidden = hiddenWidth(size);
  return {
    query_tokens: [1, 1, dim],
    ...normShapes(`${BLOCK}.norm1`, dim),
    ...linearShapes(`${BLOCK}.xattn.q`, dim, dim),
    ...linearShapes(`${BLOCK}.xattn.kv`, dim, 2 * dim),
    ...linearShapes(`${BLOCK}.xattn.proj`, dim, dim),
    ...normShapes(`${BLOCK}.norm2`, dim),
    ...linearShapes(`${BLOCK}.mlp.fc1`, dim, hidden),
    ...linearShapes(`${BLOCK}.mlp.fc2`, hidden, dim),
  };
}

/** First values: those of transformers, the last layer of each branch divided by √2. */
export function poolerValue(name: string, shape: readonly number[], stream: RandomStream): Float32Array {
  const value = initialValue(name, shape, stream);
  return /\.(proj|fc2)\.weight$/.test(name) ? value.map((one) => one / Math.SQRT2) : value;
}

/**
 * Pools the patch tokens of an image by attention (V-JEPA, Bardes et al. 2024, section 4.3 and appendix D.1): one learned query q
 * looks at all patches, then goes through a perceptron. As in the official code, a norm stands before the perceptron, around
 * which there is a residual connection; the paper has a norm after it instead.
 *
 *   a = q + W attention(W_q q, [W_k, W_v] LayerNorm(x)),  a + mlp(LayerNorm(a))
 *
 * Letters: B images, N patches, D width.
 * @param tokens x, [B, N, D]
 * @returns [B, D]
 */
export function attentivePool(
  parameters: Parameters,
  { dim, heads }: Pick<VitSize, 'dim' | 'heads'>,
  tokens: Tensor,
): Tensor {
  const [images, patches, width] = tokens.shape as [number, number, number];
  if (width !== dim) throw new Error(`attentivePool expected tokens of width ${dim}, received [${tokens.shape}]`);
  return tf.tidy(() => {
    const query = parameter(parameters, 'query_tokens');
    const asked = project(parameters, `${BLOCK}.xattn.q`, query); // [1, 1, D]
    const seen = project(parameters, `${BLOCK}.xattn.kv`, norm(parameters, `${BLOCK}.norm1`, tokens, EPSILON)); // [B, N, 2D]
    const queries = tf.zeros([images, patches, dim]).add(asked); // only the last one is asked; there is a place for each key
    const mixed = attention(tf.concat([queries, seen], 2), heads, patches - 1); // [B, 1, D]
    const attended = query.add(project(parameters, `${BLOCK}.xattn.proj`, mixed));
    const layer = (name: string) => linearParameters(parameters, `${BLOCK}.mlp.${name}`);
    const hidden = norm(parameters, `${BLOCK}.norm2`, attended, EPSILON);
    return attended.add(mlp(hidden, layer('fc1'), layer('fc2'))).reshape([images, dim]);
  });
}
