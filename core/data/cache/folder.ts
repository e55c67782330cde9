import { constants } from 'node:fs';
import { access, readdir } from 'node:fs/promises';
import { makeFolders } from '../../checkpoint/run-folder.js';
import { explainWriteError } from '../../errors.js';

/**
 * Makes the folder of decoded pictures, where it is missing.
 * @throws UserError if it cannot be made or written
 */
export async function makeCacheFolder(folder: string): Promise<void> {
  try {
    await makeFolders(folder);
    await readdir(folder); // refuses what is no folder
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw explainWriteError(error, folder);
  }
}
