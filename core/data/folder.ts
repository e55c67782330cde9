import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, extname, isAbsolute, join, resolve } from 'node:path';
import { fdir } from 'fdir';
import { explainSystemError, UserError } from '../errors.js';
import type { ImageCollection } from '../plugin.js';

const IMAGE_EXTENSIONS = ['.jpg', '.jpeg', '.png', '.webp', '.avif', '.gif', '.tif', '.tiff'];
const LIST_EXTENSIONS = ['.txt', '.lst'];

/** One image file that was found. */
interface ImageFile {
  path: string;
  /** Its path as the user would write it, with '/', the same on every machine. */
  name: string;
  bytes: number;
}

/**
 * The images of folders (any depth, symbolic links followed), of lists of files (one path a line, relative to the list)
 * and of image files, in the order of their names.
 * @throws UserError if a path does not exist or there is no image
 */
export async function openFolders(paths: readonly string[]): Promise<ImageCollection> {
  const files = (await Promise.all(paths.map(listImages))).flat();
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

async function listImages(path: string): Promise<ImageFile[]> {
  let found: Awaited<ReturnType<typeof stat>>;
  try {
    found = await stat(path);
  } catch (error) {
    throw dataPathError(path, error);
  }
  if (found.isDirectory()) return listFolder(path);
  const extension = extname(path).toLowerCase();
  if (LIST_EXTENSIONS.includes(extension)) return readList(path);
  if (IMAGE_EXTENSIONS.includes(extension)) return [{ path, name: basename(path), bytes: Number(found.size) }];
  throw new UserError(`${path} is neither a folder, nor an image, nor a list of images`, {
    expected: `a folder, an image (${IMAGE_EXTENSIONS.join(', ')}), a list (${LIST_EXTENSIONS.join(', ')}) or shapes`,
  });
}

async function listFolder(folder: string): Promise<ImageFile[]> {
  let names: string[];
  try {
    names = await new fdir()
      .withRelativePaths()
      .withSymlinks({ resolvePaths: false })
      .withErrors()
      .exclude((name) => name.startsWith('.'))
      .filter((path) => IMAGE_EXTENSIONS.includes(extname(path).toLowerCase()) && !basename(path).startsWith('.'))
      .crawl(folder)
      .withPromise();
  } catch (error) {
    throw explainSystemError(error, folder);
  }
  return sizes(names.map((name) => ({ path: join(folder, name), name: name.replaceAll('\\', '/') })).sort(byName));
}

async function readList(list: string): Promise<ImageFile[]> {
  const text = await readFile(list, 'utf8').catch((error: unknown) => {
    throw explainSystemError(error, list);
  });
  const lines = text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  return sizes(lines.map((name) => ({ path: isAbsolute(name) ? name : join(dirname(list), name), name })));
}

/** Adds the sizes in bytes; a file that is not there counts 0 and is met again, and reported, when it is read. */
async function sizes(files: readonly { path: string; name: string }[]): Promise<ImageFile[]> {
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
