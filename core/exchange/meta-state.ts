import type { StoredTensor } from '../checkpoint/safetensors.js';
import type { MetaCheckpoint } from './meta.js';
import { countOf, type TorchTensor } from './torch/tree.js';

/*
 * Between checkpoints of the reference code and the tensors of those of this program, which are named by network and
 * parameter (`encoder.norm.weight`), with the moments before them (`optimizer.first.encoder.norm.weight`).
 */

const SLOTS = ['first', 'second'] as const;
const TRAINED = ['encoder', 'predictor'] as const;

/**
 * The tensors that a checkpoint of this program has. Parameters that no gradient has reached get moments of 0, as they are
 * before the first step.
 * @throws UserError if one cannot be read
 */
export async function checkpointTensors({ networks, moments }: MetaCheckpoint): Promise<Map<string, StoredTensor>> {
  const tensors = new Map<string, StoredTensor>();
  for (const [network, parameters] of Object.entries(networks)) {
    for (const [name, tensor] of parameters) {
      tensors.set(`${network}.${name}`, { shape: tensor.shape, data: await tensor.read() });
    }
  }
  for (const slot of SLOTS) {
    for (const network of TRAINED) {
      for (const [name, { shape }] of networks[network]) {
        const data = await moments?.[slot][network].get(name)?.read();
        tensors.set(slotPrefix(slot, network) + name, { shape, data: data ?? new Float32Array(countOf(shape)) });
      }
    }
  }
  return tensors;
}

/**
 * A checkpoint of this program as one of the reference code, for `metaTree`.
 * @param step steps that were done
 */
export function metaOfCheckpoint(
  tensors: ReadonlyMap<string, StoredTensor>,
  { sizes, epoch, step }: Pick<MetaCheckpoint, 'sizes' | 'epoch'> & { step: number },
): MetaCheckpoint {
  const below = (prefix: string) => {
    const found = [...tensors].filter(([name]) => name.startsWith(prefix));
    return new Map(found.map(([name, tensor]) => [name.slice(prefix.length), inMemory(tensor)]));
  };
  const slot = (name: string) => ({
    encoder: below(slotPrefix(name, 'encoder')),
    predictor: below(slotPrefix(name, 'predictor')),
  });
  const networks = {
    encoder: below('encoder.'),
    predictor: below('predictor.'),
    target_encoder: below('target_encoder.'),
  };
  return { sizes, epoch, networks, moments: { step, first: slot('first'), second: slot('second') } };
}

function slotPrefix(slot: string, network: string): string {
  return `optimizer.${slot}.${network}.`;
}

/** Everything in such a checkpoint is float32. */
function inMemory({ shape, data }: StoredTensor): TorchTensor {
  return { shape, type: 'float32', read: async () => data };
}
