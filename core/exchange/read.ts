import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../base/errors.js';
import { readSafetensors, type StoredTensor } from '../checkpoint/safetensors.js';
import { isResNet } from '../nn/sizes.js';
import { builtinWeights, isBuiltin } from './builtin.js';
import { checkpointFile, readCheckpoint } from './checkpoint.js';
import type { AnyEncoderFile, EncoderFile, Given } from './encoder-file.js';
import { fetchModel, isHubAddress } from './hub.js';
import { CONFIG, readModelFolder } from './model-folder.js';
import { isTorchFile } from './torch/read.js';
import { readTorchEncoder, readTorchNetwork } from './torch-weights.js';

/**
 * Reads an encoder from whatever holds one: a checkpoint of this program, a run, a folder of Hugging Face or timm, a model of
 * the hub (hf:OWNER/NAME), the program's own weights (builtin:NAME), or weights by the reference code's names, of safetensors
 * or of PyTorch.
 * @param place its path or address
 * @param encoder its name; default: the one by which the method is judged
 * @param given what the file itself does not say
 * @throws UserError if it is missing, damaged, something else, or its tensors are of another model than it says
 */
export async function readAnyEncoder(
  place: string,
  encoder: string | null,
  given: Given = {},
): Promise<AnyEncoderFile> {
  if (isBuiltin(place)) {
    const file = await readCheckpoint(builtinWeights(place), encoder, given);
    return { ...file, facts: { ...file.facts, checkpoint: place } }; // where the program lies is another place elsewhere
  }
  const path = isHubAddress(place) ? await fetchModel(place) : place;
  if (existsSync(join(path, CONFIG))) return readModelFolder(path, encoder, given);
  if (await isTorchFile(checkpointFile(path))) return readTorchEncoder(path, encoder, given);
  return readCheckpoint(path, encoder, given);
}

/** The same of a vision transformer. @throws UserError for a residual network as well */
export async function readEncoder(place: string, encoder: string | null, given: Given = {}): Promise<EncoderFile> {
  const file = await readAnyEncoder(place, encoder, given);
  const { encoder: size, ...shape } = file.size;
  if (!isResNet(size)) return { ...file, size: { ...shape, encoder: size } };
  throw new UserError(`${place} holds a residual network, which is not written for other programs`, {
    expected: 'a vision transformer',
    remedy: "read the checkpoint itself: its tensors have torchvision's names after the network's own",
  });
}

/** The tensors of another network of a checkpoint, such as its predictor, by their names in it; none where it is not there. */
export async function readNetwork(path: string, network: string): Promise<ReadonlyMap<string, StoredTensor>> {
  if (isHubAddress(path) || isBuiltin(path)) return new Map();
  if (existsSync(join(path, CONFIG))) return new Map();
  const file = checkpointFile(path);
  if (await isTorchFile(file)) return readTorchNetwork(file, network);
  const prefix = `${network}.`;
  const { tensors } = await readSafetensors(file, (name) => name.startsWith(prefix));
  return new Map([...tensors].map(([name, tensor]) => [name.slice(prefix.length), tensor]));
}
