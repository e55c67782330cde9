import { writeAtomically } from '../../base/atomic.js';
import { pickle } from './pickle-writer.js';
import type { TorchTree } from './tree.js';
import { ZipWriter } from './zip-writer.js';

/** The folder in the archive; torch.load takes any. */
const FOLDER = 'archive';

/**
 * Writes a file that torch.load reads, in the form of PyTorch 1.6 and later, whole or not at all. Tensors are read one after
 * the other as they are written.
 * @throws UserError if it cannot be written, or a tensor cannot be read
 */
export async function writeTorchFile(path: string, tree: TorchTree): Promise<void> {
  const { bytes, tensors } = pickle(tree);
  await writeAtomically(path, async (file) => {
    const zip = new ZipWriter(file);
    await zip.add(`${FOLDER}/data.pkl`, bytes);
    await zip.add(`${FOLDER}/byteorder`, Buffer.from('little'));
    for (const [key, tensor] of tensors.entries()) {
      const { buffer, byteOffset, byteLength } = await tensor.read();
      await zip.add(`${FOLDER}/data/${key}`, new Uint8Array(buffer, byteOffset, byteLength));
    }
    await zip.add(`${FOLDER}/version`, Buffer.from('3\n'));
    await zip.end();
  });
}
