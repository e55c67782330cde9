import { BufferReader, Parser } from 'pickleparser';
import type { TorchSource } from './source.js';
import { FileTensor, type Places, type Storage } from './tensor.js';
import { STORAGES, type StorageKind, type TorchTree } from './tree.js';

/** Bytes of a file's description, without the tensors' values: a model of 10,000 tensors takes 2 MB. */
export const LONGEST_DESCRIPTION = 2 ** 24;
/** Instructions of a pickle, each of which may take some hundred bytes of memory: a tensor takes about 40. */
const MOST_INSTRUCTIONS = 2 ** 21;
/**
 * The instructions that make dictionaries, lists, numbers, text and tensors. With the others of Python's pickles a short
 * file can make the parser work for hours.
 */
const INSTRUCTIONS = new Set(
  Buffer.from('\x80\x95.(NJKMG\x88\x89\x8aTUX\x8c])}aesut\x85\x86\x87qr\x94hjc\x93RbQ', 'latin1'),
);
/** The instruction for whole numbers of any length. */
const LONG = 0x8a;

/** Reads pickles one after the other. */
export class PickleReader extends BufferReader {
  #instructions = 0;

  constructor(private readonly content: Uint8Array) {
    super(content);
  }

  /** Is asked before each instruction. */
  override hasNext(): boolean {
    const { content, position } = this;
    const instruction = content[position];
    if (instruction === undefined) throw new Error('it ends in the middle');
    if (!INSTRUCTIONS.has(instruction)) throw new Error(`it has the instruction ${instruction}`);
    if (++this.#instructions > MOST_INSTRUCTIONS) throw new Error(`it has more than ${MOST_INSTRUCTIONS} instructions`);
    if (instruction === LONG) {
      // The parser takes 8 bytes at most, and the sign for a digit.
      const length = content[position + 1];
      const highest = content[position + 1 + length];
      if (length > 7 || highest >= (length === 7 ? 0x20 : 0x80)) throw new Error('it has a number that is too large');
    }
    return true;
  }
}

/**
 * Reads a pickle of PyTorch. Nothing in it is executed: it may ask for dictionaries and tensors, which are made here.
 * @param storages takes in those that tensors lie in
 * @param places where these lie, which is looked up when a tensor is read
 * @throws UserError if it asks for anything else
 * @throws Error if it is no such pickle
 */
export function unpickle(
  reader: PickleReader,
  source: TorchSource,
  storages: Map<string, Storage>,
  places: Places,
): TorchTree {
  const rebuild = (storage: unknown, offset: number, shape: number[], strides: number[]) => {
    if (!(storage instanceof NamedStorage)) throw new Error('a tensor has no storage');
    return new FileTensor(source, places, storage, offset, shape, strides);
  };
  const known = new Map<string, (...args: never[]) => unknown>([
    ['collections.OrderedDict', (entries: [string, unknown][] = []) => new Map(entries)],
    ['torch._utils._rebuild_tensor_v2', rebuild],
    ['torch._utils._rebuild_tensor', rebuild],
    ['torch._utils._rebuild_parameter', (tensor: unknown) => tensor],
  ]);
  const kinds = new Map<unknown, StorageKind>();
  for (const [name, kind] of STORAGES) {
    const mark = () => null;
    known.set(`torch.${name}`, mark);
    kinds.set(mark, kind);
  }
  const resolve = (module: string, name: string) => {
    const found = known.get(`${module}.${name}`);
    if (found) return found;
    throw source.notAllowed(`${module}.${name}`);
  };
  const resolvePersistent = (id: unknown) => {
    const [word, mark, key, , count, view] = Array.isArray(id) ? id : [];
    const kind = kinds.get(mark);
    if (word !== 'storage' || kind === undefined || typeof key !== 'string' || !Number.isSafeInteger(count) || view) {
      throw new Error('it names a storage in a way that is not known');
    }
    const same = storages.get(key);
    if (same && (same.kind !== kind || same.count !== count)) {
      throw new Error(`its storage ${key} is said to have ${same.count} and ${count} values, or other types`);
    }
    const storage = same ?? new NamedStorage(key, kind, count);
    storages.set(key, storage);
    return storage;
  };
  const parser = new Parser({
    nameResolver: { resolve },
    persistentResolver: { resolve: resolvePersistent },
    unpicklingTypeOfDictionary: 'Map',
  });
  return requireTree(parser.read<unknown>(reader));
}

/** Frozen, as a tensor is: a pickle can name attributes, which the parser would set. */
class NamedStorage implements Storage {
  constructor(
    readonly key: string,
    readonly kind: StorageKind,
    readonly count: number,
  ) {
    if (count < 0) throw new Error(`its storage ${key} is said to have ${count} values`);
    Object.freeze(this);
  }
}

/** A value that holds nothing but what a tree may. Parts that it has several times are looked at once. */
function requireTree(value: unknown): TorchTree {
  const seen = new Set<unknown>();
  const waiting = [value];
  while (waiting.length > 0) {
    const part = waiting.pop();
    if (seen.has(part)) continue;
    if (Array.isArray(part) || part instanceof Map) {
      seen.add(part);
      for (const each of part.values()) waiting.push(each);
      const isNamed = Array.isArray(part) || [...part.keys()].every((key) => ['string', 'number'].includes(typeof key));
      if (!isNamed) throw new Error('a dictionary has keys that are neither text nor numbers');
    } else if (!isLeaf(part)) throw new Error('it holds what is neither a number, text nor a tensor');
  }
  return value as TorchTree;
}

function isLeaf(value: unknown): boolean {
  return value === null || ['boolean', 'number', 'string'].includes(typeof value) || value instanceof FileTensor;
}
