import { contentKind, KIND_BYTES } from '../../base/content-kind.js';
import { withRegularFile } from '../../base/files.js';
import { legacyStart, readLegacy } from './legacy.js';
import { TorchSource } from './source.js';
import type { TorchTree } from './tree.js';
import { readZip } from './zip.js';

const ZIP_START = Buffer.from('PK\x03\x04');

/** Whether a file begins as one of PyTorch does. */
export async function isTorchFile(path: string): Promise<boolean> {
  const head = Buffer.alloc(KIND_BYTES);
  await withRegularFile(path, (file) => file.read(head, 0, KIND_BYTES, 0));
  return isZip(head) || legacyStart(head) !== null;
}

/**
 * Reads a file of PyTorch (`.pth`, `.pt`, `.pth.tar`), of both forms that torch.save has had. Only the description is read;
 * tensors are when they are asked for. No code of the file is executed: it may hold dictionaries, lists, numbers, text and
 * tensors, and is refused where it asks for anything else.
 * @throws UserError if it is missing, damaged, no such file, or asks for something else, by its name
 */
export async function readTorchFile(path: string): Promise<TorchTree> {
  return withRegularFile(path, async (file, found) => {
    const source = new TorchSource(path, found);
    const head = Buffer.from(await source.readOpen(file, 0, Math.min(found.size, KIND_BYTES)));
    if (isZip(head)) return readZip(file, source);
    const start = legacyStart(head);
    if (start !== null) return readLegacy(file, source, start);
    const kind = contentKind(head);
    throw source.unreadable(kind === null ? 'it does not begin as one' : `its content is ${kind}`);
  });
}

function isZip(head: Buffer): boolean {
  return head.subarray(0, ZIP_START.length).equals(ZIP_START);
}
