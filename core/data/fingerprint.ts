import { createHash } from 'node:crypto';
import { bytesOfName } from '../base/file-names.js';

/** Stands for images by their names and sizes in bytes, in their order: the same wherever and however they are stored. */
export function createFingerprint(): { add(name: string, bytes: number): void; value(): string } {
  const hash = createHash('sha256');
  return {
    add: (name, bytes) => hash.update(name.isWellFormed() ? `${name}\0${bytes}\n` : bytesOfName(`${name}\0${bytes}\n`)),
    value: () => hash.digest('hex'),
  };
}
