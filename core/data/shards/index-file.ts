import { stat } from 'node:fs/promises';
import { z } from 'zod';
import { reasonOf, UserError } from '../../base/errors.js';
import { systemPath } from '../../base/file-names.js';
import { textOf } from '../../base/text.js';
import { withRegularFile } from '../read-file.js';
import { beside, inside, isAddress } from './address.js';
import type { Network } from './network.js';
import { NO_CLASS } from './samples.js';

/** The file beside shards that says what they are. */
export const INDEX_NAME = 'index.json';
const FORMAT = 'ijepa-shards-1';
const SHARD_FORMAT = 'ijepa-shard-1';
/** Most bytes of an index; that of a shard with a million images has about 60 MB. */
const MOST_BYTES = 1 << 28;

const bytes = z.int().min(0);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const skipped = z.array(z.object({ name: z.string(), reason: z.string() }));

const splitSchema = z.object({
  images: z.int().min(0),
  shards: z.array(z.object({ name: z.string().regex(/^[^/\\]+\.tar$/), bytes, sha256, images: z.int().min(1) })),
});

/** What came into shards, and how: the same again gives the same shards. */
export const recipeSchema = z.object({
  /** Fingerprints of the images that were packed. */
  source: z.object({ train: z.string(), val: z.string().nullable() }),
  /** Shorter side to which larger images were brought; null where all were left as they were. */
  resize: z.int().min(1).nullable(),
  quality: z.int().min(1).max(100).nullable(),
  imagesPerShard: z.int().min(1).nullable(),
  shardBytes: z.int().min(1).nullable(),
});

const indexSchema = z.object({
  format: z.literal(FORMAT),
  classes: z.array(z.string()).nullable(),
  splits: z.object({ train: splitSchema, val: splitSchema.nullable() }),
  recipe: recipeSchema,
});

const columnsSchema = z.object({
  format: z.literal(SHARD_FORMAT),
  bytes,
  sha256,
  /** Images of the source before this shard, and up to its end, those that were skipped too. */
  first: z.int().min(0),
  next: z.int().min(0),
  skipped,
  names: z.array(z.string().min(1)),
  offsets: z.array(bytes),
  sizes: z.array(bytes),
  /** -1 where an image has none. */
  classes: z.array(z.int().min(NO_CLASS)),
});

export type Recipe = z.infer<typeof recipeSchema>;
export type ShardIndex = z.infer<typeof columnsSchema>;
export type PackIndex = z.infer<typeof indexSchema>;
export type PackSplit = z.infer<typeof splitSchema>;

export function newPackIndex(content: Omit<PackIndex, 'format'>): PackIndex {
  return { format: FORMAT, ...content };
}

/** The index of a shard that is still empty. */
export function newShardIndex(first: number): ShardIndex {
  const columns = { names: [], offsets: [], sizes: [], classes: [] };
  return { format: SHARD_FORMAT, bytes: 0, sha256: '', first, next: first, skipped: [], ...columns };
}

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
  if (!text.includes(FORMAT)) return null;
  const value = parseJson(text, where);
  const { format } = z.object({ format: z.unknown() }).catch({ format: null }).parse(value);
  if (format !== FORMAT) return null;
  return check(indexSchema, value, where);
}

/**
 * Reads the text of the index of one shard.
 * @throws UserError if it is damaged, or says of the shard what cannot be
 */
export function parseShardIndex(text: string, where: string): ShardIndex {
  const index = check(columnsSchema, parseJson(text, where), where);
  const { names, offsets, sizes, classes } = index;
  const length = names.length;
  if ([offsets, sizes, classes].some((column) => column.length !== length)) {
    throw damaged(where, `its columns are not all of ${length} rows`);
  }
  let end = 0;
  for (let row = 0; row < length; row++) {
    const [offset, size] = [offsets[row] as number, sizes[row] as number];
    if (offset < end || offset + size > index.bytes) {
      throw damaged(where, `row ${row} lies at byte ${offset}, where it cannot be`);
    }
    end = offset + size;
  }
  return index;
}

/** The index of a folder of shards; null where there is none. */
export async function readPackIndex(folder: string, network: Network): Promise<PackIndex | null> {
  return readIndex(inside(folder, INDEX_NAME), network);
}

/** The index that lies beside a shard; null where there is none, or it does not name the shard. */
export async function readIndexBeside(shard: string, network: Network): Promise<PackIndex | null> {
  return readIndex(beside(shard, INDEX_NAME), network);
}

async function readIndex(place: string, network: Network): Promise<PackIndex | null> {
  const text = await readText(place, network);
  return text === null ? null : parsePackIndex(text, place);
}

/** The samples of a shard by its own index; null where there is none. */
export async function readShardIndex(place: string, network: Network): Promise<ShardIndex | null> {
  const text = await readText(place, network);
  return text === null ? null : parseShardIndex(text, place);
}

/** A text file; null where there is none. */
async function readText(place: string, network: Network): Promise<string | null> {
  const bytes = isAddress(place) ? await network.readSmall(place, MOST_BYTES) : await readIfThere(place);
  return bytes && textOf(bytes, place);
}

async function readIfThere(place: string): Promise<Buffer | null> {
  const found = await stat(systemPath(place)).catch(() => null);
  return found?.isFile() ? withRegularFile(place, (file) => file.readFile()) : null;
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw damaged(where, reasonOf(error));
  }
}

function check<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw damaged(where, `${issue?.path.join('.') || 'its top level'}: ${issue?.message}`);
}

function damaged(where: string, problem: string): UserError {
  return new UserError(`${where} is damaged: ${problem}`, {
    expected: 'the index as `ijepa data pack` wrote it',
    remedy: 'get it anew, pack anew, or remove it: shards are then read through for what they hold',
  });
}
