import { RandomStream } from '../base/random.js';
import { tf } from '../engine/tf.js';
import { normalTensors } from '../methods/batch.js';
import { tokensOf, tryTokenizer } from '../methods/tokenizers.js';
import type { Extension } from '../plugins/plugin.js';
import { areNear, runChecks } from './numbers.js';

/** Sizes in which a tokenizer is tried: two grids of patches that differ in both sides. */
const SHAPES = [
  { imageSize: 16, patchSize: 4 },
  { imageSize: 24, patchSize: 8 },
];
const [IMAGES, FIRST] = [5, 2];

/**
 * Holds a tokenizer against the contract of plugins, on random images.
 * @returns what it does wrong, one line each; nothing where it conforms
 */
export async function findTokenizerFaults(tokenizer: Extension<'tokenizer'>): Promise<string[]> {
  for (const shape of SHAPES) {
    const { imageSize, patchSize } = shape;
    const images = normalTensors(new RandomStream(0, 'check tokenizer'))(IMAGES, imageSize, imageSize, 3);
    const tokens = async (of = images) => tokensOf(tokenizer, of, patchSize).data();
    const found = await runChecks({
      tokens: async () => {
        await tryTokenizer(tokenizer, shape);
        return areNear(await tokens(), await tokens()) ? [] : ['the same images have other ones the second time'];
      },
      'images taken apart': async () => {
        const parts = tf.split(images, [FIRST, IMAGES - FIRST], 0);
        const apart = await Promise.all(parts.map((part) => tokens(part)));
        const joined = Float32Array.from(apart.flatMap((values) => [...values]));
        return areNear(await tokens(), joined) ? [] : ['have other tokens than side by side'];
      },
    });
    images.dispose();
    if (found.length > 0) return found;
  }
  return [];
}
