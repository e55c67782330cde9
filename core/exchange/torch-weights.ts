import type { StoredTensor } from '../checkpoint/safetensors.js';
import { chooseNetwork, readBare } from './bare.js';
import type { EncoderFile, Given } from './encoder-file.js';
import { readTorchFile } from './torch/read.js';
import { isDictionary, isTensor, type TorchTensor, type TorchTree } from './torch/tree.js';

/** Networks of the reference code's checkpoints; each name becomes the beginning of those in it. */
const NETWORKS = ['encoder', 'target_encoder', 'predictor'];
/** Where others put all weights. */
const ALL = ['model', 'state_dict'];

/** Reads an encoder from a file of PyTorch: a checkpoint of the reference code, or weights by its names. */
export async function readTorchEncoder(path: string, encoder: string | null, given: Given): Promise<EncoderFile> {
  const tree = await readTorchFile(path);
  const all = weightsOf(tree);
  const chosen = chooseNetwork(path, all, encoder);
  const isWhole = NETWORKS.every((network) => isDictionary(tree) && tree.has(network));
  const epoch: unknown = isDictionary(tree) ? tree.get('epoch') : undefined;
  const metadata = {
    ...(isWhole && { method: 'I-JEPA' }),
    ...(isWhole && Number.isSafeInteger(epoch) && { epoch: String(epoch) }),
  };
  return readBare(path, { ...chosen, tensors: await readAll(chosen.tensors) }, metadata, given);
}

/** The tensors of one network by their names in it; none where it is not there. */
export async function readTorchNetwork(path: string, network: string): Promise<Map<string, StoredTensor>> {
  const prefix = new RegExp(`^${network}\\.(?:module\\.)?`);
  const own = [...weightsOf(await readTorchFile(path))].filter(([name]) => prefix.test(name));
  return readAll(new Map(own.map(([name, tensor]) => [name.replace(prefix, ''), tensor])));
}

/** Every tensor of a tree's networks: 'encoder.module.norm.weight', or 'norm.weight' where there is one network. */
function weightsOf(tree: TorchTree): Map<string, TorchTensor> {
  const tensors = new Map<string, TorchTensor>();
  if (!isDictionary(tree)) return tensors;
  for (const [key, value] of tree) {
    const name = String(key);
    if (isTensor(value)) tensors.set(name, value);
    if (!isDictionary(value)) continue;
    const prefix = NETWORKS.includes(name) ? `${name}.` : '';
    if (prefix === '' && !ALL.includes(name)) continue;
    for (const [within, tensor] of value) if (isTensor(tensor)) tensors.set(prefix + within, tensor);
  }
  return tensors;
}

async function readAll(tensors: ReadonlyMap<string, TorchTensor>): Promise<Map<string, StoredTensor>> {
  const read = new Map<string, StoredTensor>();
  for (const [name, tensor] of tensors) read.set(name, { shape: tensor.shape, data: await tensor.read() });
  return read;
}
