import { createHash } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, extname, isAbsolute, join, resolve } from 'node:path';
import { explainSystemError, UserError } from '../errors.js';
import type { ImageCollection } from '../plugin.js';
import { readText } from '../text.js';

const IMAGE_EXTENSIONS = ['.jpg', '.jpeg', '.png', '.webp', '.avif', '.gif', '.tif', '.tiff'];
const LIST_EXTENSIONS = ['.txt', '.lst'];

/** An image file that was found. */
interface FoundFile {
  path: string;
  /** Its path from what the user named, with '/', the same on every machine. */
  name: string;
}

interface ImageFile extends FoundFile {
  bytes: number;
}

/**
 * The images of folders (any depth, symbolic links followed), of lists of files (one path a line, relative to the list)
 * and of image files, in the order of their names. What is named or reached twice is taken once.
 * @throws UserError if a path does not exist, a folder cannot be read, or there is no image
 */
export async function openFolders(paths: readonly string[]): Promise<ImageCollection> {
  const visited = new Set<string>();
  const found = new Map<string, FoundFile>();
  for (const path of paths) {
    for (const file of await findImages(path, visited)) {
      const place = resolve(file.path);
      if (!found.has(place)) found.set(place, file);
    }
  }
  const files = await sizes([...found.values()]);
  if (files.length === 0) {
    throw new UserError(`no images in ${paths.join(', ')}`, {
      expected: `files that end in ${IMAGE_EXTENSIONS.join(', ')}, in this folder or below it`,
      remedy: 'name a folder of images, a list of image files (.txt), or shapes',
    });
  }
  const hash = createHash('sha256');
  for (const { name, bytes } of files) hash.update(`${name}\0${bytes}\n`);
  return {
    description: paths.join(', '),
    length: files.length,
    fingerprint: hash.digest('hex'),
    item: (index) => {
      const file = files[index];
      if (!file) throw new Error(`there is no image ${index} of ${files.length}`);
      return { name: file.path, source: file.path };
    },
  };
}

/** @param visited folders that were listed before, by their real paths */
async function findImages(path: string, visited: Set<string>): Promise<FoundFile[]> {
  let found: Awaited<ReturnType<typeof stat>>;
  try {
    found = await stat(path);
  } catch (error) {
    throw dataPathError(path, error);
  }
  if (found.isDirectory()) {
    const files: FoundFile[] = [];
    await findInFolder(path, '', visited, files);
    return files.sort(byName);
  }
  const extension = extname(path).toLowerCase();
  if (LIST_EXTENSIONS.includes(extension)) return readList(path);
  if (IMAGE_EXTENSIONS.includes(extension)) return [{ path, name: basename(path) }];
  throw new UserError(`${path} is neither a folder, nor an image, nor a list of images`, {
    expected: `a folder, an image (${IMAGE_EXTENSIONS.join(', ')}), a list (${LIST_EXTENSIONS.join(', ')}) or shapes`,
  });
}

/**
 * The images below a folder. Names that start with a dot are passed over. A link that leads nowhere counts as a file, so
 * that it is reported as unreadable if it has the name of an image; a folder that was visited before is empty.
 * @param prefix its path from the folder that the user named, with '/' at the end, or ''
 * @param files to which they are added
 */
async function findInFolder(folder: string, prefix: string, visited: Set<string>, files: FoundFile[]): Promise<void> {
  let entries: Dirent[];
  try {
    const place = await realpath(folder);
    if (visited.has(place)) return;
    visited.add(place);
    entries = await readdir(folder, { withFileTypes: true });
  } catch (error) {
    throw explainSystemError(error, folder);
  }
  entries.sort(byName);
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory() || (entry.isSymbolicLink() && (await isFolder(path)))) {
      await findInFolder(path, `${prefix}${entry.name}/`, visited, files);
    } else if (IMAGE_EXTENSIONS.includes(extname(entry.name).toLowerCase())) {
      files.push({ path, name: prefix + entry.name });
    }
  }
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

async function readList(list: string): Promise<FoundFile[]> {
  const lines = (await readText(list))
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  return lines.map((name) => ({ path: isAbsolute(name) ? name : join(dirname(list), name), name }));
}

/** Adds the sizes in bytes; a file that is not there counts 0 and is met again, and reported, when it is read. */
async function sizes(files: readonly FoundFile[]): Promise<ImageFile[]> {
  const sized: ImageFile[] = [];
  const together = 256;
  for (let from = 0; from < files.length; from += together) {
    const part = files.slice(from, from + together).map(async (file) => ({
      ...file,
      bytes: await stat(file.path).then(
        ({ size }) => size,
        () => 0,
      ),
    }));
    sized.push(...(await Promise.all(part)));
  }
  return sized;
}

/** Order of code units: the same in every locale. */
function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : Number(a.name > b.name);
}

function dataPathError(path: string, error: unknown): unknown {
  const explained = explainSystemError(error, path);
  if (!(explained instanceof UserError) || !explained.message.endsWith('does not exist')) return explained;
  return new UserError(`${path} does not exist (looked for ${resolve(path)})`, {
    expected: 'a folder of images, a list of image files (.txt), or the name of a data set',
    remedy: 'check the path',
  });
}
