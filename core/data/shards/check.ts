import { createHash } from 'node:crypto';
import { UserError } from '../../base/errors.js';
import { inside } from './address.js';
import { readPackIndex } from './index-file.js';
import { createNetwork } from './network.js';
import { openSource } from './open.js';
import type { ByteSource } from './source.js';

const PIECE = 4 << 20;

/**
 * Holds the shards of a folder that \`ijepa data pack\` wrote against the checksums of its index.
 * @param tell is told how many bytes are read, and how many there are
 * @returns what is wrong, one line for each shard; null where the folder has no index with checksums
 */
export async function checkShards(
  folder: string,
  tell: (done: number, total: number) => void,
  signal: AbortSignal,
): Promise<string[] | null> {
  const network = createNetwork().during(signal);
  const index = await readPackIndex(folder, network);
  if (!index) return null;
  const shards = [...index.splits.train.shards, ...(index.splits.val?.shards ?? [])];
  const total = shards.reduce((sum, { bytes }) => sum + bytes, 0);
  const problems: string[] = [];
  let before = 0;
  for (const { name, bytes, sha256 } of shards) {
    const problem = await problemOf(inside(folder, name), { bytes, sha256 });
    if (problem) problems.push(`${name}: ${problem}`);
    before += bytes;
  }
  return problems;

  async function problemOf(place: string, expected: { bytes: number; sha256: string }): Promise<string | null> {
    let source: ByteSource;
    try {
      ({ source } = await openSource(place, network));
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof UserError) return error.message;
      throw error;
    }
    if (source.size !== expected.bytes) return `it has ${source.size} bytes, not ${expected.bytes}`;
    const hex = await hashOf(source, (done) => tell(before + done, total), signal);
    return hex === expected.sha256 ? null : `its SHA-256 is ${hex}, not ${expected.sha256}`;
  }
}

/** SHA-256 of all bytes. */
export async function hashOf(source: ByteSource, tell: (bytes: number) => void, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for (let at = 0; at < source.size; at += PIECE) {
    signal.throwIfAborted();
    const length = Math.min(PIECE, source.size - at);
    hash.update(await source.read(at, length));
    tell(at + length);
  }
  return hash.digest('hex');
}
