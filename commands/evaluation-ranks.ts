import type { ImageCollection } from '../core/contract/data-sets.js';
import type { Engine } from '../core/engine/contract.js';
import type { FeatureNetwork } from '../core/eval/network.js';
import { gatherJson, type Ranks, requireSame } from '../core/train/communicator/ranks.js';

/** Digits of a fingerprint in messages. */
const DIGITS = 12;

/** @throws SharedError if ranks have started different engines, or read different networks */
export async function requireSameNetworks(
  ranks: Ranks,
  { name, version }: Engine,
  networks: readonly FeatureNetwork[],
): Promise<void> {
  const marks = networks.map(({ facts }) => facts.fingerprint.slice(0, DIGITS));
  const all = await gatherJson(ranks, { engine: `${name} ${version}`, networks: marks.join(', ') });
  requireSame(ranks, 'engine', all, ({ engine }) => engine);
  requireSame(ranks, 'encoders', all, ({ networks }) => `those of fingerprint ${networks}`);
}

/** @throws SharedError if ranks have opened different images */
export async function requireSameImages(ranks: Ranks, parts: readonly ImageCollection[]): Promise<void> {
  const described = parts.map(
    ({ length, fingerprint }) => `${length} images (fingerprint ${fingerprint.slice(0, DIGITS)})`,
  );
  requireSame(ranks, 'data', await gatherJson(ranks, described.join(' and ')), (own) => own);
}
