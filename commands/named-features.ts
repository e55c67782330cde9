import { startEngine } from '../core/engine/start.js';
import { type ExtractOptions, extractFeatures, type FeatureTable } from '../core/eval/features.js';
import { loadNamedNetwork, type NamedNetwork } from '../core/eval/named-network.js';
import type { LabelledImages } from '../core/plugin.js';
import type { SearchOptions } from './options/using.js';

/** How the network that a file names is found and computed. */
type Asked = Pick<
  SearchOptions,
  'engine' | 'device' | 'precision' | 'threads' | 'batchSize' | 'checkpoint' | 'encoder'
>;

/**
 * Computes the features of images by the network to which a file belongs.
 * @param facts what the file says of it
 * @param seen how that network saw images
 */
export async function featuresByNamed(
  file: string,
  facts: NamedNetwork,
  images: LabelledImages,
  seen: Pick<ExtractOptions, 'transform' | 'interpolation' | 'pixelLimit' | 'maxUnreadable' | 'onProgress'>,
  asked: Asked,
): Promise<FeatureTable> {
  const { engine: name, device, precision, threads, batchSize } = asked;
  const engine = await startEngine(name, { device, precision, ...(threads !== null && { threads }) });
  const network = await loadNamedNetwork(file, facts, asked);
  const settings = { ...seen, batchSize, views: 'test' as const, seed: 0, cache: null };
  return extractFeatures(engine, network, images, settings).finally(() => network.dispose());
}
