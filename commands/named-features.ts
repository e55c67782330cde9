import { startEngine } from '../core/engine/start.js';
import { type ExtractOptions, extractFeatures, type FeatureTable, helpExtraction } from '../core/eval/features.js';
import { loadNamedNetwork, type NamedNetwork } from '../core/eval/named-network.js';
import type { LabelledImages } from '../core/plugin.js';
import { type Ranks, threadsOf } from '../core/train/communicator/ranks.js';
import { requireSameImages, requireSameNetworks } from './evaluation-ranks.js';
import type { SearchOptions } from './options/using.js';

/** How the network that a file names is found and computed. */
type Asked = Pick<
  SearchOptions,
  'engine' | 'device' | 'precision' | 'threads' | 'batchSize' | 'checkpoint' | 'encoder'
>;

/** How that network saw images, and who hears how far it is. */
type Seen = Pick<ExtractOptions, 'transform' | 'interpolation' | 'pixelLimit' | 'maxUnreadable' | 'onProgress'>;

/**
 * Computes the features of images by the network to which a file belongs, on all ranks.
 * @param facts what the file says of it
 * @returns the table on rank 0; null on the others
 */
export async function featuresByNamed(
  file: string,
  facts: NamedNetwork,
  images: LabelledImages,
  seen: Seen,
  asked: Asked,
  ranks: Ranks,
): Promise<FeatureTable | null> {
  const { engine: name, device, precision, threads, batchSize } = asked;
  const engine = await startEngine(name, { device, precision, threads: threads ?? threadsOf(ranks) });
  const network = await loadNamedNetwork(file, facts, asked);
  const settings = { ...seen, batchSize, views: 'test' as const, seed: 0, cache: null, ranks };
  try {
    await requireSameNetworks(ranks, engine, [network]);
    await requireSameImages(ranks, [images]);
    if (ranks.rank === 0) return await extractFeatures(engine, network, images, settings);
    await helpExtraction(engine, network, images, settings);
    return null;
  } finally {
    network.dispose();
  }
}
