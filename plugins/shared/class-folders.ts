import type { Dirent } from 'node:fs';
import { readdir, realpath } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { type LabelledData, PluginError } from '../../core/plugin.js';
import { byName, firstFolder, isFile, isFolder, readProblem } from './files.js';
import { ImageFiles, labelledFiles } from './image-files.js';

const IMAGE_EXTENSIONS = ['.jpg', '.jpeg', '.png', '.webp', '.avif', '.gif', '.tif', '.tiff'];

/** The images of `{train,val|test}/CLASS/...` with the names of the folders as classes, in the order of their names. */
export async function openClassFolders(
  folder: string,
  nameOf: (key: string) => string = (key) => key,
): Promise<LabelledData> {
  const train = await listClassFolders(join(folder, 'train'));
  const test = await listClassFolders(await testFolder(folder));
  return labelledFiles(train, test, { keys: [...train.keys].sort(), nameOf });
}

/** The images of a folder whose subfolders are classes, class by class. */
export async function listClassFolders(folder: string): Promise<ImageFiles> {
  const files = new ImageFiles(folder, folder);
  const entries = await list(folder);
  for (const { name } of entries.filter((entry) => !entry.name.startsWith('.'))) {
    if (await isFolder(join(folder, name))) await addImages(files, name, name, new Set());
  }
  if (files.length > 0) return files;
  const loose = entries.some(({ name }) => isImage(name));
  throw new PluginError(`${folder} has ${loose ? 'images, but no folders that tell their classes' : 'no images'}`, {
    expected: 'a folder for each class, with its images',
    remedy: loose ? 'sort the images into one folder for each class' : 'check the path, or unpack the images',
  });
}

/** Whether a folder has training and test images sorted by something; looks at names only. */
export async function hasClassFolders(folder: string): Promise<boolean> {
  return (await isFolder(join(folder, 'train'))) && (await firstFolder(testFolders(folder))) !== undefined;
}

async function testFolder(folder: string): Promise<string> {
  const found = await firstFolder(testFolders(folder));
  if (found !== undefined) return found;
  throw new PluginError(`${folder} has no test images`, {
    expected: `${join(folder, 'val')} or ${join(folder, 'test')}`,
    remedy: 'check the path, or set some images of each class apart in a folder val',
  });
}

function testFolders(folder: string): string[] {
  return [join(folder, 'val'), join(folder, 'test')];
}

/** @param visited folders above and before, by their real paths, so that no link is followed for ever */
async function addImages(files: ImageFiles, prefix: string, key: string, visited: Set<string>): Promise<void> {
  const folder = join(files.root, prefix);
  const place = await realpath(folder);
  if (visited.has(place)) return;
  visited.add(place);
  for (const entry of await list(folder)) {
    const name = `${prefix}/${entry.name}`;
    if (entry.name.startsWith('.')) continue;
    if (entry.isDirectory() || (entry.isSymbolicLink() && (await isFolder(join(files.root, name))))) {
      await addImages(files, name, key, visited);
    } else if (isImage(entry.name)) files.add(name, key);
  }
}

async function list(folder: string): Promise<Dirent[]> {
  if (await isFile(folder)) {
    throw new PluginError(`${folder} is a file`, { expected: 'a folder with a folder for each class' });
  }
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    throw error instanceof Error && 'code' in error && error.code === 'ENOENT'
      ? new PluginError(`${folder} does not exist`, {
          expected: 'a folder with a folder for each class',
          remedy: 'check the path, or unpack the data set',
        })
      : readProblem(folder, error);
  });
  return entries.sort(byName);
}

function isImage(name: string): boolean {
  return IMAGE_EXTENSIONS.includes(extname(name).toLowerCase());
}
