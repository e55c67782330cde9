import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  bytesOfName,
  type LabelledData,
  type LabelledImages,
  PluginError,
  shownName,
  systemPath,
} from '../../core/plugin.js';
import { NameTable } from './name-table.js';

/** Image files of one part of a data set, each with the key of its class. */
export class ImageFiles {
  readonly names = new NameTable();
  readonly #keys = new Map<string, number>();
  readonly #keyNumbers: number[] = [];
  /** What was left out and why, for people, a line each. */
  readonly notes: string[] = [];

  /**
   * @param root folder to which the names are relative
   * @param description where they come from, for people
   */
  constructor(
    readonly root: string,
    readonly description: string,
  ) {}

  get length(): number {
    return this.names.length;
  }

  /** The keys of the classes that were met. */
  get keys(): readonly string[] {
    return [...this.#keys.keys()];
  }

  /** @param name path from the root, with '/' */
  add(name: string, key: string): void {
    const number = this.#keys.get(key) ?? this.#keys.size;
    this.#keys.set(key, number);
    this.#keyNumbers.push(number);
    this.names.add(name);
  }

  /** The class of every image, as the place of its key in a list. */
  classesIn(keys: readonly string[]): Int32Array {
    const places = new Map(keys.map((key, place) => [key, place]));
    const placeOf = this.keys.map((key) => places.get(key) ?? -1);
    return Int32Array.from(this.#keyNumbers, (number) => placeOf[number] as number);
  }
}

/** What becomes of image files and their classes. */
export interface ClassList {
  /** The keys of the classes, in order. */
  keys: readonly string[];
  /** The name of a class for people; its key where it has none. */
  nameOf?: (key: string) => string;
  /** What may be wrong where a key is unknown, for messages. */
  remedy?: string;
}

/**
 * Training and test images with the classes of training.
 * @throws PluginError if a part has no images, none of them is there, or a test image has a class that training lacks
 */
export async function labelledFiles(
  train: ImageFiles,
  test: ImageFiles,
  { keys, nameOf = (key) => key, remedy = 'add training images of it, or remove its test images' }: ClassList,
  notes: readonly string[] = [],
): Promise<LabelledData> {
  const known = new Set(keys);
  for (const part of [train, test]) {
    const strange = part.keys.find((key) => !known.has(key));
    if (strange === undefined) continue;
    throw new PluginError(
      `${part.description} has images of class '${shownName(nameOf(strange))}', which training lacks`,
      {
        expected: `the ${keys.length} classes of ${train.description}`,
        remedy,
      },
    );
  }
  const opened = [await openFiles(train, keys), await openFiles(test, keys)] as const;
  return {
    classes: keys.map((key) => shownName(nameOf(key))),
    train: opened[0],
    test: opened[1],
    notes: [...notes, ...opened.flatMap((images) => images.notes ?? [])],
  };
}

/**
 * Images from their files. Their sizes are part of the fingerprint; their content is not read.
 * @param keys of the classes, in order
 * @throws PluginError if there are none, or none is there; single missing ones are noted and left to whoever reads them
 */
export async function openFiles(files: ImageFiles, keys: readonly string[]): Promise<LabelledImages> {
  const { root, names, description } = files;
  const classes = files.classesIn(keys);
  const hash = createHash('sha256').update(JSON.stringify(keys));
  let missing = '';
  let absent = 0;
  for (let index = 0; index < names.length; index++) {
    const name = names.at(index);
    const bytes = sizeOf(join(root, name));
    hash.update(bytesOfName(name)).update(`\0${classes[index]}\0${bytes}\n`);
    if (bytes === null && absent++ === 0) missing = name;
    if (index % 1024 === 1023) await nextTurn(); // lets signals and progress through
  }
  if (names.length === 0 || absent === names.length) {
    const which = names.length === 0 ? 'has no images' : `names ${absent} images, and none of them is in ${root}`;
    throw new PluginError(`${description} ${which}`, {
      expected: names.length === 0 ? 'images with their classes' : `for example ${shownName(join(root, missing))}`,
      remedy: 'fetch or unpack the images, or check the path',
    });
  }
  const item = (index: number) => {
    const place = names.at(index);
    const path = join(root, place);
    return { name: shownName(path), source: path, place, labels: { class: classes[index] as number } };
  };
  const classOf = (index: number) => classes[index] as number;
  const lost = `${absent} of ${names.length} images of ${description} are not there, such as ${shownName(missing)}`;
  const notes = absent === 0 ? files.notes : [...files.notes, lost];
  return { description, length: names.length, fingerprint: hash.digest('hex'), item, classOf, notes };
}

/** Size in bytes; null for a file that is not there. Asked one by one: for a million files the quickest by far. */
function sizeOf(path: string): number | null {
  try {
    const found = statSync(systemPath(path), { throwIfNoEntry: false });
    return found?.isFile() ? found.size : null;
  } catch {
    return null;
  }
}
