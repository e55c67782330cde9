import { stat } from 'node:fs/promises';
import { z } from 'zod';
import { reasonOf, UserError } from '../../base/errors.js';
import { systemPath } from '../../base/file-names.js';
import { withRegularFile } from '../../base/files.js';
import { PROGRAM } from '../../base/program.js';
import { textOf } from '../../base/text.js';
import { inside, isAddress } from './address.js';
import { NO_CLASS } from './samples.js';
import type { Network } from './source.js';

/** The file beside shards that says what they are. */
export const INDEX_NAME = 'index.json';
export const INDEX_FORMAT = `${PROGRAM}-shards-1` as const;
export const SHARD_FORMAT = `${PROGRAM}-shard-1` as const;
/** Most bytes of an index; that of a shard with a million images has about 60 MB. */
const MAX_BYTES = 1 << 28;

const amount = z.int().min(0);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const splitSchema = z.object({
  images: amount,
  shards: z.array(
    z.object({ name: z.string().regex(/^[^/\\]+\.tar$/), bytes: amount, sha256, images: z.int().min(1) }),
  ),
});

/** What came into shards, and how: the same again gives the same shards. */
const recipeSchema = z.object({
  /** Fingerprints of the images that were packed. */
  source: z.object({ train: z.string(), val: z.string().nullable() }),
  /** Shorter side to which larger images were brought; null where all were left as they were. */
  resize: z.int().min(1).nullable(),
  quality: z.int().min(1).max(100).nullable(),
  imagesPerShard: z.int().min(1).nullable(),
  shardBytes: z.int().min(1).nullable(),
});

const packSchema = z.object({
  format: z.literal(INDEX_FORMAT),
  classes: z.array(z.string()).nullable(),
  splits: z.object({ train: splitSchema, val: splitSchema.nullable() }),
  recipe: recipeSchema,
});

const shardSchema = z.object({
  format: z.literal(SHARD_FORMAT),
  bytes: amount,
  sha256,
  /** Images of the source before this shard, and up to its end, those that were skipped too. */
  first: amount,
  next: amount,
  skipped: z.array(z.object({ name: z.string(), reason: z.string() })),
  names: z.array(z.string().min(1)),
  offsets: z.array(amount),
  sizes: z.array(amount),
  /** -1 where an image has none. */
  classes: z.array(z.int().min(NO_CLASS)),
});

export type Recipe = z.infer<typeof recipeSchema>;
export type ShardIndex = z.infer<typeof shardSchema>;
export type PackIndex = z.infer<typeof packSchema>;

/** 'train-000000.tar' -> 'train-000000.json' */
export function shardIndexName(shard: string): string {
  return shard.replace(/\.tar$/, '.json');
}

/**
 * Reads the text of an index of shards.
 * @param where its path or address, for messages
 * @returns null where it is the index of something else
 * @throws UserError if it is damaged
 */
export function parsePackIndex(text: string, where: string): PackIndex | null {
  return text.includes(INDEX_FORMAT) ? parse(packSchema, text, where) : null;
}

/**
 * Reads the text of the index of one shard.
 * @throws UserError if it is damaged, or says of the shard what cannot be
 */
export function parseShardIndex(text: string, where: string): ShardIndex {
  const index = parse(shardSchema, text, where);
  const { names, offsets, sizes, classes, bytes } = index;
  if ([offsets, sizes, classes].some(({ length }) => length !== names.length)) {
    throw damaged(where, `its columns are not all of ${names.length} rows`);
  }
  let end = 0;
  for (const [row, offset] of offsets.entries()) {
    const start = end;
    end = offset + sizes[row];
    if (offset < start || end > bytes) throw damaged(where, `row ${row} lies at byte ${offset}, where it cannot be`);
  }
  return index;
}

/** The index of a folder of shards; null where there is none. */
export async function readPackIndex(folder: string, network: Network): Promise<PackIndex | null> {
  return readIndex(inside(folder, INDEX_NAME), network, parsePackIndex);
}

/** An index, such as that of a shard; null where there is none. */
export async function readIndex<T>(
  place: string,
  network: Network,
  parseIndex: (text: string, where: string) => T | null,
): Promise<T | null> {
  const bytes = isAddress(place) ? await network.readSmall(place, MAX_BYTES) : await readIfThere(place);
  return bytes && parseIndex(textOf(bytes, place), place);
}

async function readIfThere(path: string): Promise<Buffer | null> {
  const found = await stat(systemPath(path)).catch(() => null);
  return found?.isFile() ? withRegularFile(path, (file) => file.readFile()) : null;
}

function parse<T>(schema: z.ZodType<T>, text: string, where: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw damaged(where, reasonOf(error));
  }
  const { data, error } = schema.safeParse(value);
  if (data !== undefined) return data;
  const issue = error?.issues[0];
  throw damaged(where, `${issue?.path.join('.') || 'its top level'}: ${issue?.message}`);
}

function damaged(where: string, problem: string): UserError {
  return new UserError(`${where} is damaged: ${problem}`, {
    expected: 'the index as `data pack` wrote it',
    remedy: 'get it anew, pack anew, or remove it: shards are then read through for what they hold',
  });
}
