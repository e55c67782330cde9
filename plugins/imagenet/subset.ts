import { basename } from 'node:path';
import { type LabelledImages, PluginError } from '../../core/plugin.js';
import { readText } from '../shared/files.js';

/**
 * The training images that a list names, one file name a line, such as n01440764_10029.JPEG (the published 1% split).
 * @returns their numbers in `images`, in the order of the list
 * @throws PluginError if the list is empty, names an image twice, or names one that is not there
 */
export async function indicesOfList(images: LabelledImages, list: string): Promise<number[]> {
  const lines = (await readText(list)).split(/\r?\n/).map((line) => line.trim());
  const lineOf = new Map<string, number>();
  lines.forEach((line, at) => {
    const name = basename(line);
    if (name === '') return;
    if (lineOf.has(name)) {
      throw new PluginError(`${list} names ${name} twice, in lines ${lineOf.get(name)} and ${at + 1}`, {
        expected: 'every image once',
        remedy: 'remove one of the lines',
      });
    }
    lineOf.set(name, at + 1);
  });
  if (lineOf.size === 0) throw new PluginError(`${list} names no images`, { expected: 'one image name a line' });
  const found = new Map<string, number>();
  for (let index = 0; index < images.length; index++) {
    const name = basename(images.item(index).name);
    if (lineOf.has(name)) found.set(name, index);
  }
  return [...lineOf].map(([name, line]) => {
    const index = found.get(name);
    if (index !== undefined) return index;
    throw new PluginError(`${list} names ${name} in line ${line}, which is not in ${images.description}`, {
      expected: 'names of training images',
      remedy: 'use a list for this data set, or complete the data set',
    });
  });
}
