import { createHash } from 'node:crypto';
import { UserError } from '../../base/errors.js';
import { inside } from './address.js';
import { readPackIndex } from './index-file.js';
import { createNetwork } from './network.js';
import { openSource, shardsOf } from './open.js';
import type { ByteSource } from './source.js';

const CHUNK_BYTES = 4 << 20;

/**
 * Holds the shards of a folder that `data pack` wrote against the checksums of its index.
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
  const shards = shardsOf(index);
  const total = shards.reduce((sum, { bytes }) => sum + bytes, 0);
  const problems: string[] = [];
  let before = 0;
  for (const { name, bytes, sha256 } of shards) {
    const { source, problem } = await openSource(inside(folder, name), network).then(
      (opened) => ({ source: opened.source, problem: '' }),
      (error: unknown) => {
        signal.throwIfAborted();
        if (!(error instanceof UserError)) throw error;
        return { source: null, problem: error.message };
      },
    );
    if (!source) problems.push(`${name}: ${problem}`);
    else if (source.size !== bytes) problems.push(`${name}: it has ${source.size} bytes, not ${bytes}`);
    else {
      const hex = await hashOf(source, (done) => tell(before + done, total), signal);
      if (hex !== sha256) problems.push(`${name}: its SHA-256 is ${hex}, not ${sha256}`);
    }
    before += bytes;
  }
  return problems;
}

/** SHA-256 of all bytes. */
export async function hashOf(source: ByteSource, tell: (bytes: number) => void, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for (let at = 0; at < source.size; at += CHUNK_BYTES) {
    signal.throwIfAborted();
    const length = Math.min(CHUNK_BYTES, source.size - at);
    hash.update(await source.read(at, length));
    tell(at + length);
  }
  return hash.digest('hex');
}
