import { PROGRAM } from '../base/program.js';
import { DamagedFile, type TensorFile } from './safetensors.js';

/** The format of checkpoints. */
export const FORMAT = `${PROGRAM}-checkpoint-3`;

/**
 * Refuses a checkpoint of this program that has lost its checksum, and with it the proof that it is whole.
 * @throws DamagedFile
 */
export function requireChecksum(path: string, { metadata, hasChecksum }: TensorFile): void {
  if (metadata.format !== FORMAT || hasChecksum) return;
  throw new DamagedFile(`${path} is damaged: it has no checksum`, { expected: 'a checkpoint as it was written' });
}

/** @throws DamagedFile if the file is none of this program's checkpoints, or has lost its checksum */
export function requireOwnFormat(path: string, file: TensorFile): void {
  if (file.metadata.format !== FORMAT) {
    throw new DamagedFile(`${path} is not a checkpoint of ${PROGRAM} pretrain`, {
      expected: `a safetensors file whose metadata has format ${FORMAT}`,
    });
  }
  requireChecksum(path, file);
}
