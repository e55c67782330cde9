import type { FileHandle } from 'node:fs/promises';
import { LONGEST_DESCRIPTION, PickleReader, unpickle } from './pickle.js';
import type { Place, TorchSource } from './source.js';
import type { Storage } from './tensor.js';
import type { TorchTree } from './tree.js';

/** The number with which files of PyTorch begin that are older than 1.6, and the end of its pickle. */
export const LEGACY_NUMBER = Buffer.from('8a0a6cfc9c46f9206aa850192e', 'hex');
/** Bytes of a pickle before its first value: the protocol, and the length of a frame in newer ones. */
const LONGEST_PICKLE_HEAD = 11;
const PROTOCOL = 1001;

/** Where the second pickle of such a file starts; null where it is none. */
export function legacyStart(head: Buffer): number | null {
  const at = head.indexOf(LEGACY_NUMBER);
  return at >= 0 && at <= LONGEST_PICKLE_HEAD ? at + LEGACY_NUMBER.length : null;
}

/**
 * Reads the form from before PyTorch 1.6, one after the other: pickles of a number, of the protocol, of the machine, of
 * what was saved, and of the keys of its storages in their order; then each storage: the number of its values, 8 bytes, and
 * the values.
 * @param start what `legacyStart` gives
 */
export async function readLegacy(file: FileHandle, source: TorchSource, start: number): Promise<TorchTree> {
  const content = await source.readOpen(file, start, Math.min(source.size - start, LONGEST_DESCRIPTION));
  const reader = new PickleReader(content);
  const storages = new Map<string, Storage>();
  const places = new Map<string, Place>();
  const next = (what: string) => source.attempt(what, () => unpickle(reader, source, storages, places));
  const protocol = await next('its protocol');
  const machine = await next('its machine');
  if (protocol !== PROTOCOL || !(machine instanceof Map) || machine.get('little_endian') !== true) {
    throw source.unreadable('it is of another protocol, or its numbers are big-endian');
  }
  const tree = await next('its description');
  const keys = await next('its keys');
  if (!Array.isArray(keys)) throw source.unreadable('it has no list of keys');
  let at = start + reader.position;
  for (const key of keys) {
    const storage = storages.get(key);
    if (storage === undefined || places.has(key)) throw source.unreadable('its keys are not those of its storages');
    const { buffer } = await source.readOpen(file, at, 8);
    const count = Number(new DataView(buffer).getBigInt64(0, true));
    if (count !== storage.count) {
      throw source.unreadable(`its storage ${key} has ${count} values instead of ${storage.count}`);
    }
    const length = count * storage.kind.bytes;
    places.set(key, { start: at + 8, length, checksum: null });
    at += 8 + length;
  }
  if (at > source.size) throw source.unreadable(`it ends after ${source.size} bytes instead of ${at}`);
  if (places.size < storages.size) throw source.unreadable('it lacks storages');
  return tree;
}
