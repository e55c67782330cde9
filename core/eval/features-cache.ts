import { hash } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { removeLeftOvers, writeFileAtomically } from '../base/atomic.js';
import { explainWriteError, UserError } from '../base/errors.js';
import { makeFolders } from '../base/folders.js';
import { readSafetensors, writeSafetensors } from '../checkpoint/safetensors.js';
import type { ImageCollection } from '../contract/data-sets.js';
import type { FeatureNetwork } from './network.js';
import type { ViewSettings } from './views.js';

/** Changes whenever the same network gives the same images other features. */
const FEATURE_VERSION = 2;
const PIECE = /^rows-\d+-\d+-[0-9a-f]+\.safetensors$/;
/** The file of an entry that says, for people, what its features are of. */
const ABOUT = 'about.json';
/** Bytes of a piece beside its tensors, about. */
const HEADER_BYTES = 400;

/** What decides the features of a collection of images, beside the network and the images. */
export interface CacheSettings extends Pick<ViewSettings, 'transform' | 'interpolation'> {
  /** The test view of each image, or so many random training views. */
  views: 'test' | number;
  /** Of the random views. */
  seed: number;
  /** Bytes that the whole folder may take; what is beyond is computed each time. Default: no limit. */
  cacheBytes?: number;
}

/** Some rows of a feature table: their numbers, [k], and features, [k, L D]. */
export type FeaturePiece = { rows: Int32Array; features: Float32Array };

/**
 * Opens a folder of features. It holds a folder for every combination of what decides them (the network's weights and
 * sizes, the images, their views), named by the hash of it, so that nothing is ever taken for something else; in it a
 * file for every batch that was computed. Engines share entries: their features differ in the last bits only.
 * @throws UserError if the folder cannot be made or read
 */
export async function openFeatureCache(
  folder: string,
  network: Omit<FeatureNetwork, 'encoder' | 'facts' | 'notes' | 'dispose'> & {
    facts: Pick<FeatureNetwork['facts'], 'fingerprint'>;
  },
  images: ImageCollection,
  settings: CacheSettings,
) {
  const { arch, size, patchSize, imageSize, trainedImageSize, facts } = network;
  const { views, transform, interpolation = 'bicubic', seed, cacheBytes = Number.POSITIVE_INFINITY } = settings;
  const about = {
    version: FEATURE_VERSION,
    network: { fingerprint: facts.fingerprint, arch, size, patchSize, trainedImageSize },
    images: images.fingerprint,
    imageSize,
    transform,
    ...(interpolation !== 'bicubic' && { interpolation }),
    views,
    seed: views === 'test' ? null : seed,
  };
  const entry = join(folder, hash('sha256', JSON.stringify(about)).slice(0, 32));
  const names = await openEntry(entry, { ...about, images: images.description });
  let used = Number.isFinite(cacheBytes) ? await folderBytes(folder) : 0;
  return {
    /** Every whole piece for a table of this size; damaged ones are removed, so that they are computed anew. */
    async *pieces(rows: number, columns: number): AsyncGenerator<FeaturePiece> {
      for (const name of names.filter((found) => PIECE.test(found))) {
        const path = join(entry, name);
        const piece = await readPiece(path, rows, columns);
        if (piece) yield piece;
        else await rm(path, { force: true });
      }
    },
    /** Keeps a piece, unless the limit of the cache is reached. Whole or not at all. */
    async store({ rows, features }: FeaturePiece): Promise<void> {
      if (used + rows.byteLength + features.byteLength + HEADER_BYTES > cacheBytes) return;
      // Processes that compute the same rows at the same time write the same file; other rows go to another one.
      const name = `rows-${rows[0]}-${rows.at(-1)}-${hash('sha256', rows).slice(0, 12)}.safetensors`;
      const tensors = new Map([
        ['rows', { shape: [rows.length], data: rows }],
        ['features', { shape: [rows.length, features.length / rows.length], data: features }],
      ]);
      await writeSafetensors(join(entry, name), tensors, {});
      used += (await stat(join(entry, name))).size;
    },
  };
}

async function openEntry(entry: string, about: object): Promise<string[]> {
  try {
    await makeFolders(entry);
    await removeLeftOvers(entry);
    const names = (await readdir(entry)).sort();
    if (!names.includes(ABOUT)) await writeFileAtomically(join(entry, ABOUT), `${JSON.stringify(about, null, 2)}\n`);
    return names;
  } catch (error) {
    throw explainWriteError(error, entry);
  }
}

/** A piece, or null where the file is damaged or of a table of another size. */
async function readPiece(path: string, rows: number, columns: number): Promise<FeaturePiece | null> {
  try {
    const { hasChecksum, tensors } = await readSafetensors(path);
    const [numbers, features] = [tensors.get('rows')?.data, tensors.get('features')?.data];
    if (!hasChecksum || !(numbers instanceof Int32Array && features instanceof Float32Array)) return null;
    if (features.length !== numbers.length * columns) return null;
    return numbers.every((row) => row >= 0 && row < rows) ? { rows: numbers, features } : null;
  } catch (error) {
    if (error instanceof UserError) return null;
    throw error;
  }
}

async function folderBytes(folder: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(folder, { recursive: true })) {
    const found = await stat(join(folder, name)).catch(() => null); // another process may remove it
    if (found?.isFile()) bytes += found.size;
  }
  return bytes;
}
