import type { FileHandle } from 'node:fs/promises';
import { extname } from 'node:path';
import { writeAtomically } from '../base/atomic.js';
import { headerOf } from '../checkpoint/safetensors.js';
import type { ExtractOptions, FeatureTable } from './features.js';
import { type FeaturesFile, metadataOf, TOKENS, tokensPath, writeFeatures } from './features-file.js';
import { npyHeader } from './npy.js';

/** Computes features and hands their patch tokens on, batch by batch. */
type Compute = (onTokens: NonNullable<ExtractOptions['onTokens']>) => Promise<FeatureTable>;

/**
 * Writes features with the patch tokens of every image, [M, N, D] row by row of the grid. Tokens go to the file as soon as they
 * are computed, so that there may be more of them than memory holds; how many rows there are shows at the end, when images
 * could not be read. Safetensors: the tensor `tokens` before the others, in a file without a checksum. NumPy:
 * FILE.tokens.npy.
 * @param names of all images, rows of their views too
 * @param shape of the tokens of one image, [N, D]
 * @returns the features of the last layer, and the files that were written
 */
export async function writeTokens(
  file: FeaturesFile,
  names: readonly string[],
  shape: readonly [number, number],
  compute: Compute,
): Promise<{ table: FeatureTable; files: string[] }> {
  if (extname(file.path) === '.npy') {
    const path = tokensPath(file.path);
    const header = (rows: readonly string[], bytes?: number) => npyHeader([rows.length, ...shape], '<f4', bytes);
    const table = await writeBehind(path, header, names, compute, async () => {});
    return { table, files: [path, ...(await writeFeatures(table, file))] };
  }
  const header = (rows: readonly string[], bytes?: number) => {
    const tensors = [
      { name: TOKENS, shape: [rows.length, ...shape], type: 'F32' as const },
      { name: 'features', shape: [rows.length, shape[1]], type: 'F32' as const },
      { name: 'labels', shape: [rows.length], type: 'I32' as const },
    ];
    return headerOf(file.classes ? tensors : tensors.slice(0, 2), metadataOf(file, rows), bytes);
  };
  const table = await writeBehind(file.path, header, names, compute, async (handle, { data, labels }) => {
    await handle.appendFile(bytesOf(data));
    if (file.classes) await handle.appendFile(bytesOf(labels));
  });
  return { table, files: [file.path] };
}

/** Writes tokens behind the room for a header, which is written when its rows are known; it is longest with all of them. */
async function writeBehind(
  path: string,
  header: (rows: readonly string[], bytes?: number) => Buffer,
  names: readonly string[],
  compute: Compute,
  writeRest: (handle: FileHandle, table: FeatureTable) => Promise<void>,
): Promise<FeatureTable> {
  const written: FeatureTable[] = [];
  await writeAtomically(path, async (handle) => {
    const room = header(names);
    await handle.appendFile(room);
    const table = await compute((tokens) => handle.appendFile(bytesOf(tokens)));
    await writeRest(handle, table);
    await handle.write(header(table.names, room.length), 0, room.length, 0);
    written.push(table);
  });
  return written[0];
}

function bytesOf(data: Float32Array | Int32Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
