import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { type LabelledData, PluginError, shownName, systemPath, withFiles } from '../../core/plugin.js';
import { firstFolder, isFile, isFolder, readProblem } from './files.js';
import { ImageFiles, labelledFiles } from './image-files.js';

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
  const files = new ImageFiles(folder, shownName(folder));
  const { folders, files: loose, leftOut } = await contentOf(folder);
  const left: LeftOutHere[] = [[folder, leftOut]];
  const without: string[] = [];
  for (const key of folders) {
    const before = files.length;
    await addImages(files, key, key, new Set(), left);
    if (files.length === before) without.push(key);
  }
  if (files.length === 0) {
    const what = loose.length > 0 ? 'images, but no folders that tell their classes' : 'no images';
    throw new PluginError(
      [`${shownName(folder)} has ${what}`, ...(await notesOf(left, folder, [], []))].join('\n    '),
      {
        expected: 'a folder for each class, with its images',
        remedy:
          loose.length > 0 ? 'sort the images into one folder for each class' : 'check the path, or unpack the images',
      },
    );
  }
  files.notes.push(...(await notesOf(left, folder, loose, without)));
  return files;
}

/** What was left out in a folder: its groups give examples by their names there. */
type LeftOutHere = [folder: string, groups: FolderContent['leftOut']];
type FolderContent = Awaited<ReturnType<typeof contentOf>>;

async function notesOf(
  left: readonly LeftOutHere[],
  root: string,
  loose: readonly string[],
  without: readonly string[],
): Promise<readonly string[]> {
  return withFiles(async ({ LeftOut }) => {
    const all = new LeftOut();
    for (const [folder, groups] of left) {
      for (const { noun, reason, example, count } of groups) all.add(noun, reason, join(folder, example), count);
    }
    for (const name of loose) all.add('picture', 'beside the folders of the classes, not in one', join(root, name));
    for (const name of without) all.add('folder', 'no picture in it, and so no class', join(root, name));
    return all.notes;
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
async function addImages(
  files: ImageFiles,
  prefix: string,
  key: string,
  visited: Set<string>,
  left: LeftOutHere[],
): Promise<void> {
  const folder = join(files.root, prefix);
  const place = (await realpath(systemPath(folder), 'buffer')).toString('latin1');
  if (visited.has(place)) return;
  visited.add(place);
  const content = await contentOf(folder);
  left.push([folder, content.leftOut]);
  const images = new Set(content.files);
  for (const name of [...content.files, ...content.folders].sort()) {
    if (images.has(name)) files.add(`${prefix}/${name}`, key);
    else await addImages(files, `${prefix}/${name}`, key, visited, left);
  }
}

async function contentOf(folder: string) {
  if (await isFile(folder)) {
    throw new PluginError(`${shownName(folder)} is a file`, { expected: 'a folder with a folder for each class' });
  }
  return withFiles(({ lookInto }) => lookInto(folder)).catch((error: unknown) => {
    throw error instanceof Error && 'code' in error && error.code === 'ENOENT'
      ? new PluginError(`${shownName(folder)} does not exist`, {
          expected: 'a folder with a folder for each class',
          remedy: 'check the path, or unpack the data set',
        })
      : readProblem(folder, error);
  });
}
