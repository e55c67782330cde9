import { existsSync } from 'node:fs';
import { UserError } from '../base/errors.js';
import { isBuiltin } from '../exchange/builtin.js';
import { atImageSize, type FeatureNetwork, loadNetwork } from './network.js';

/** What files that belong to an encoder say of it, as text; see `networkFacts`. */
export type NamedNetwork = Readonly<Record<string, string>>;

/** What a file has to say so that the network to which it belongs is found again. */
export function networkFacts({ facts, arch, imageSize }: FeatureNetwork) {
  return {
    network: arch,
    method: facts.method ?? '',
    encoder: facts.encoder ?? '',
    checkpoint: facts.checkpoint ?? '',
    fingerprint: facts.fingerprint,
    imageSize: String(imageSize),
  };
}

/**
 * Loads the network to which a file belongs.
 * @param file for messages
 * @param named what the file says
 * @param given where the checkpoint lies now and what its encoder is called there, where that is not as the file says
 * @throws UserError if there is no such checkpoint, or it holds another encoder
 */
export async function loadNamedNetwork(
  file: string,
  named: NamedNetwork,
  given: { checkpoint: string | null; encoder: string | null },
): Promise<FeatureNetwork> {
  const { checkpoint = '', fingerprint, imageSize } = named;
  const path = given.checkpoint ?? checkpoint;
  if (given.checkpoint === null && !isBuiltin(path) && !existsSync(path)) {
    throw new UserError(`the checkpoint of ${file} is not there: ${path || 'it names none'}`, {
      expected: 'the encoder that computed its features',
      remedy: 'say where it lies with --checkpoint',
    });
  }
  const network = await loadNetwork(path, given.encoder ?? (given.checkpoint === null ? named.encoder || null : null));
  if (network.facts.fingerprint === fingerprint) return atImageSize(network, Number(imageSize));
  network.dispose();
  throw new UserError(`${file} belongs to another encoder than ${path} holds now`, {
    expected: `${named.network ?? 'the encoder'}, ${named.encoder || 'encoder'} of ${checkpoint || 'a checkpoint'}, as it was when the file was written`,
    remedy: 'name a checkpoint that still has it with --checkpoint, or make the file anew',
  });
}
