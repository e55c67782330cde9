import { DamagedFile, type TensorFile } from './safetensors.js';

/** The format of the checkpoints that are written. */
export const FORMAT = 'ijepa-checkpoint-2';

/** What the checksum of each format is over; in the first one, metadata had none. */
const CHECKSUMS = new Map<string | undefined, TensorFile['checksum']>([
  ['ijepa-checkpoint-1', 'tensors'],
  [FORMAT, 'file'],
]);

/**
 * Refuses a checkpoint of this program that has lost its checksum, and with it the proof that it is whole.
 * @throws DamagedFile
 */
export function requireChecksum(path: string, { metadata, checksum }: TensorFile): void {
  const expected = CHECKSUMS.get(metadata.format);
  if (expected === undefined || expected === checksum) return;
  throw new DamagedFile(`${path} is damaged: it has no checksum`, { expected: 'a checkpoint as it was written' });
}

/** @throws DamagedFile if the file is none of this program's checkpoints, or has lost its checksum */
export function requireOwnFormat(path: string, file: TensorFile): void {
  if (!CHECKSUMS.has(file.metadata.format)) {
    throw new DamagedFile(`${path} is not a checkpoint of ijepa pretrain`, {
      expected: `a safetensors file whose metadata has format ${FORMAT}`,
    });
  }
  requireChecksum(path, file);
}
