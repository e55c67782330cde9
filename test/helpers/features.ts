import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { RandomStream } from '../../core/base/random.js';
import { type StoredTensor, writeSafetensors } from '../../core/checkpoint/safetensors.js';
import type { ExtractOptions } from '../../core/eval/features.js';
import { encoderShapes, initialValue } from '../../core/nn/parameters.js';
import type { LabelledImages } from '../../core/plugin.js';
import { temporaryFolder } from './command.js';

/** A network of five blocks that takes milliseconds. */
export const SMALL_SIZE = {
  imageSize: 16,
  patchSize: 4,
  encoder: { dim: 16, depth: 5, heads: 2, mlpRatio: 4 },
};

export const EXTRACTION: ExtractOptions = {
  views: 'test',
  transform: 'crop',
  batchSize: 4,
  seed: 0,
  cache: null,
  pixelLimit: 1e6,
};

/** What a checkpoint says of a network of I-JEPA. */
export function smallModel({ imageSize, patchSize, encoder } = SMALL_SIZE) {
  const encoders = { target: 'target_encoder', context: 'encoder' };
  return { method: 'I-JEPA', encoders, imageSize, patchSize, sizes: { encoder } };
}

/** A checkpoint with two encoders of random weights, as pretraining writes it but for the rest of its tensors. */
export async function smallCheckpoint(t: ExecutionContext, size = SMALL_SIZE, seed = 0): Promise<string> {
  const tensors = new Map<string, StoredTensor>();
  for (const prefix of ['encoder.', 'target_encoder.']) {
    const stream = new RandomStream(seed, `init/${prefix}`);
    for (const [name, shape] of Object.entries(encoderShapes(size))) {
      // Biases and scales that are not all alike, so that none can be left out unnoticed.
      const data = initialValue(name, shape, stream).map((weight, at) =>
        shape.length === 1 ? weight + 0.1 * Math.sin(at) : 5 * weight,
      );
      tensors.set(prefix + name, { shape, data });
    }
  }
  const path = join(await temporaryFolder(t), 'checkpoint.safetensors');
  await writeSafetensors(path, tensors, { model: JSON.stringify(smallModel(size)), epoch: '3' });
  return path;
}

/** Drawn pictures of three classes, each another one; counts how often one is read. */
export function someImages(length: number): LabelledImages & { readonly reads: number } {
  let reads = 0;
  return {
    description: `${length} pictures`,
    length,
    fingerprint: `pictures/${length}`,
    get reads() {
      return reads;
    },
    item: (index) => ({
      name: `picture-${index}`,
      source: async () => {
        reads++;
        return Buffer.from(drawing(index));
      },
    }),
    classOf: (index) => index % 3,
  };
}

function drawing(index: number): string {
  const [hue, x] = [(index * 67) % 360, 5 + ((index * 7) % 20)];
  return `<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30">
    <linearGradient id="sky" x2="1" y2="1"><stop stop-color="hsl(${hue},70%,20%)"/>
      <stop offset="1" stop-color="hsl(${hue + 60},70%,80%)"/></linearGradient>
    <rect width="40" height="30" fill="url(#sky)"/>
    <circle cx="${x}" cy="14" r="${4 + (index % 8)}" fill="hsl(${hue + 120},80%,60%)"/></svg>`;
}

/** How many pieces of features a cache holds. */
export function piecesIn(cache: string): number {
  if (!existsSync(cache)) return 0;
  return readdirSync(cache, { recursive: true }).filter((name) => String(name).endsWith('.safetensors')).length;
}
