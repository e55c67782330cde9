import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { nameFromBytes, PluginError, textOf } from '../../core/plugin.js';
import { isFile, readProblem, safePath } from '../shared/files.js';
import { ImageFiles } from '../shared/image-files.js';

/** Classes are numbered from 0. */
const CLASSES = 205;

/**
 * Reads a list of images, `path label` a line, line by line: the longest has 2.4 million.
 * @param root folder of the images
 * @throws PluginError that names the line that is wrong
 */
export async function readList(list: string, root: string): Promise<ImageFiles> {
  if (!(await isFile(list))) {
    throw new PluginError(`${list} is missing`, {
      expected: 'lists of training and validation images with their classes',
      remedy: 'unpack trainvalsplit_places205.tar.gz',
    });
  }
  const files = new ImageFiles(root, list);
  const lineOf = new Map<string, number>();
  let line = 0;
  try {
    for await (const bytes of createInterface({ input: createReadStream(list, 'latin1'), crlfDelay: Infinity })) {
      const text = nameFromBytes(Buffer.from(bytes, 'latin1'));
      if (line++ === 0) textOf(Buffer.from(bytes.slice(0, 3), 'latin1'), list); // refuses UTF-16
      if (text.trim() === '') continue; // trim takes a byte order mark off, too
      const { path, label } = readLine(text, `${list}, line ${line},`);
      const before = lineOf.get(path);
      if (before !== undefined) {
        throw new PluginError(`${list} names ${path} twice, in lines ${before} and ${line}`, {
          expected: 'every image once',
          remedy: 'remove one of the lines',
        });
      }
      lineOf.set(path, line);
      files.add(path, label);
    }
  } catch (error) {
    throw error instanceof PluginError ? error : readProblem(list, error);
  }
  return files;
}

function readLine(text: string, where: string): { path: string; label: string } {
  const [, path, label] = /^(.*[^\s,])[\s,]+(\d+)$/s.exec(text.trim()) ?? [];
  if (path === undefined || label === undefined) {
    throw new PluginError(`${where} is '${text.trim().slice(0, 80)}'`, {
      expected: 'path and class number: a/abbey/picture.jpg 0',
      remedy: 'correct the line, or fetch the list anew',
    });
  }
  if (Number(label) >= CLASSES) {
    throw new PluginError(`${where} has class ${label}`, {
      expected: `a class number from 0 to ${CLASSES - 1}`,
      remedy: 'correct the line, or fetch the list anew',
    });
  }
  return { path: safePath(path, where), label: String(Number(label)) };
}
