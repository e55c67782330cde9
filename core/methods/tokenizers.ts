import { RandomStream } from '../base/random.js';
import { grouped, NONE, named } from '../config/option.js';
import { failureOf } from '../contract/extension.js';
import { MEAN, STD } from '../data/normalise.js';
import { type Tensor, tf } from '../engine/tf.js';
import { gridSize, type ImageShape } from '../nn/sizes.js';
import { ask, describeValue, failedIn } from './ask.js';
import { normalTensors } from './batch.js';
import type { ExtensionRequest, MethodExtension, OwnOptions } from './method.js';

export type TokenizerExtension = Extract<MethodExtension, { kind: 'tokenizer' }>;

/** What patches are predicted as: their pixels, or tokens that a plugin gives them. */
export const TOKENIZER_OPTIONS = grouped('Objective', {
  tokenizer: named({
    default: NONE,
    what: 'a tokenizer',
    help: 'what tells the tokens of patches, which are predicted: one of a plugin; or none, and pixels are predicted, normalised patch by patch',
  }),
});

/** What the option names of what plugins bring. */
export function tokenizerRequest({ tokenizer: name }: OwnOptions<typeof TOKENIZER_OPTIONS>): ExtensionRequest | null {
  return name === NONE ? null : { kind: 'tokenizer', name, option: 'tokenizer', none: true };
}

/**
 * Probabilities of the tokens of all patches, [B, N, V].
 * @param images as encoders see them, of mean 0 and standard deviation 1: [B, S, S, 3]
 * @throws UserError where the plugin gives something else
 */
export function tokensOf(tokenizer: TokenizerExtension, images: Tensor, patchSize: number): Tensor {
  return tf.tidy(() => {
    const colours = images.mul(tf.tensor1d([...STD])).add(tf.tensor1d([...MEAN]));
    const value: unknown = ask(tokenizer, () => tokenizer.item.tokens(tf, colours, patchSize));
    const [count = 0, imageSize = 0] = images.shape;
    const shape = [count, gridSize({ imageSize, patchSize }) ** 2, tokenizer.item.vocabularySize];
    if (value instanceof tf.Tensor && value.dtype === 'float32' && value.shape.join() === shape.join()) return value;
    throw failureOf(tokenizer, `gave ${describeValue(value)} instead of probabilities of float32[${shape}]`);
  });
}

/** How far from 1 the sum of a patch's probabilities may be. */
const SUM_TOLERANCE = 1e-3;

/**
 * Asks for the tokens of a few random images.
 * @throws UserError that names the plugin where they are no probabilities
 */
export async function tryTokenizer(tokenizer: TokenizerExtension, { imageSize, patchSize }: ImageShape): Promise<void> {
  const images = normalTensors(new RandomStream(0, 'trial'))(2, imageSize, imageSize, 3);
  try {
    const tokens = tokensOf(tokenizer, images, patchSize); // [2, N, V]
    const [values, sums] = [await tokens.data(), await tf.tidy(() => tokens.sum(2)).data()];
    tf.dispose([images, tokens]);
    const areProbabilities =
      values.every((value) => value >= 0) && sums.every((sum) => Math.abs(sum - 1) < SUM_TOLERANCE);
    if (!areProbabilities) throw failureOf(tokenizer, 'gave numbers that are no probabilities of tokens');
  } catch (error) {
    throw failedIn(tokenizer, error);
  }
}
