import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { explainWriteError } from '../base/errors.js';
import { readInto } from '../base/files.js';
import { makeFolders } from '../base/folders.js';
import { PROGRAM } from '../base/program.js';
import type { LabelledImages } from '../contract/data-sets.js';
import type { Engine } from '../engine/contract.js';
import { gridSize } from '../nn/sizes.js';
import { type ExtractOptions, extractFeatures } from './features.js';
import type { FeatureNetwork } from './network.js';

/** Patch tokens of labelled images in a file, so that there may be more of them than memory holds. */
export interface TokenStore {
  /** Images, M. */
  readonly rows: number;
  /** N */
  readonly patches: number;
  /** D */
  readonly width: number;
  /** [M] */
  readonly labels: Int32Array;
  /** The tokens of the images of these numbers, n of them, [n, N, D]. */
  read(numbers: Uint32Array): Promise<Float32Array>;
  close(): Promise<void>;
}

/**
 * Computes the patch tokens of images into a file that goes when it is closed, or when the process ends in whatever way: it
 * loses its name as soon as it is open.
 * @param options of which the cache says where the file lies; without one, where the system keeps what is temporary
 * @throws UserError if more images than allowed cannot be read, or there is no room for tokens
 */
export async function storeTokens(
  engine: Engine,
  network: FeatureNetwork,
  images: LabelledImages,
  options: Omit<ExtractOptions, 'onTokens'>,
): Promise<TokenStore> {
  const place = options.cache ?? tmpdir();
  const file = await openNameless(place);
  try {
    const onTokens = (tokens: Float32Array) =>
      file.appendFile(bytesOf(tokens)).catch((error: unknown) => {
        throw explainWriteError(error, place);
      });
    const { rows, labels, width } = await extractFeatures(engine, network, images, {
      ...options,
      cache: null,
      onTokens,
    });
    const patches = gridSize(network) ** 2;
    const length = patches * width;
    return {
      ...{ rows, patches, width, labels },
      async read(numbers) {
        const tokens = new Float32Array(numbers.length * length);
        for (const [at, number] of numbers.entries()) {
          const bytes = bytesOf(tokens.subarray(at * length, (at + 1) * length));
          if ((await readInto(file, bytes, number * bytes.length)) < bytes.length) {
            throw new Error(`there are no tokens of image ${number} of ${rows}`);
          }
        }
        return tokens;
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function openNameless(place: string): Promise<FileHandle> {
  try {
    await makeFolders(place);
    const folder = await mkdtemp(join(place, `${PROGRAM}-tokens-`));
    const file = await open(join(folder, 'tokens'), 'wx+');
    await rm(folder, { recursive: true });
    return file;
  } catch (error) {
    throw explainWriteError(error, place);
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
