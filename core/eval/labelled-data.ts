import { hash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { posix } from 'node:path';
import { UserError, unknownName } from '../base/errors.js';
import { shownName, systemPath } from '../base/file-names.js';
import { RandomStream } from '../base/random.js';
import type { DataSet, ImageCollection, LabelledData, LabelledImages, ProbeProtocol } from '../contract/data-sets.js';
import { classMembers } from '../data/info.js';
import { readLines } from '../data/listing/name-list.js';
import { findDataSet, openData, openDataSet, splitName } from '../data/open.js';
import { areShards } from '../data/shards/find.js';

/** Labelled data, and the data set that opened them. */
export type OpenedData = { dataSet: DataSet; data: LabelledData };

/** The data set that takes any folder with a folder for each class, and the one that takes any shards. */
const FOLDER = 'folder';
const SHARDS = 'webdataset';

/**
 * Opens labelled data by the name of a data set (`shapes`, `cifar100:DIR`), or as a folder: with
 * `{train,val}/CLASS/image` below it, or of shards.
 * @throws UserError if there is no such thing, it is damaged or has no labels, fewer than two classes have training images,
 *   or there are no test images
 */
export async function openLabelled(word: string, dataSets: readonly DataSet[]): Promise<OpenedData> {
  const opened = await openWithLabels(word, dataSets);
  const { train, test, classes } = opened.data;
  if (test.length === 0) {
    throw new UserError(`${word} has no test images to evaluate with`, {
      expected: 'images for training, and others for validation or testing',
      remedy: 'set some images of each class apart',
    });
  }
  requireTwoClasses(word, train, classes);
  return opened;
}

/** The same, where it does not matter how many classes there are, and whether there are test images. */
export async function openWithLabels(word: string, dataSets: readonly DataSet[]): Promise<OpenedData> {
  const named = findDataSet(word, dataSets);
  const unnamed = !named && (await areShards(word)) ? SHARDS : FOLDER;
  if (!named && unnamed === FOLDER && !existsSync(systemPath(word))) {
    const names = dataSets.map(({ name }) => name);
    throw unknownName('folder or data set', word, names);
  }
  const dataSet = named ?? dataSets.find(({ name }) => name === unnamed);
  const opened = dataSet && (await openDataSet(dataSet, named ? splitName(word)[1] : word));
  if (opened?.labelled) return { dataSet: opened.dataSet, data: opened.labelled };
  throw new UserError(`${word} has no labels to evaluate with`, {
    expected: `a folder with train/CLASS and val/CLASS below it, or ${namesOfLabelled(dataSets)}`,
  });
}

/** @throws UserError if fewer than two classes have images */
export function requireTwoClasses(what: string, images: LabelledImages, classes: readonly string[]): void {
  const first = images.classOf(0);
  for (let index = 1; index < images.length; index++) if (images.classOf(index) !== first) return;
  const others = classes.length > 1 ? `: the other ${classes.length - 1} have none` : '';
  throw new UserError(
    `two classes are needed, and all training images of ${what} are of one, '${classes[first]}'${others}`,
    { expected: 'training images of two classes or more', remedy: 'add images of another class' },
  );
}

/** The images whose features are asked for. */
export interface SplitImages {
  images: LabelledImages;
  /** The names of the classes; null where there are no labels, and every class is then -1. */
  classes: readonly string[] | null;
  /** What was left out and why, for people. */
  notes: readonly string[];
  /** As the data set's own evaluation sees images. */
  transform: ProbeProtocol['transform'];
}

/**
 * Opens one part of a labelled data set (NAME or NAME:ARGUMENT), or images without labels: a data set that has none, a
 * folder, a list, a file.
 * @throws UserError if there is no such thing, or a test part is asked of data that have none
 */
export async function openSplit(
  word: string,
  split: 'train' | 'test' | null,
  dataSets: readonly DataSet[],
): Promise<SplitImages> {
  const dataSet = findDataSet(word, dataSets);
  const transform = dataSet?.protocol?.transform ?? 'crop';
  const labelled = dataSet?.openLabelled && (await openDataSet(dataSet, splitName(word)[1])).labelled;
  if (labelled) {
    const images = labelled[split ?? 'train'];
    if (images.length > 0) return { images, classes: labelled.classes, notes: labelled.notes ?? [], transform };
    const advice = { expected: 'a part that is there', remedy: 'use --split train' };
    throw new UserError(`${word} has no test images`, advice);
  }
  if (split !== null) {
    throw new UserError(`--split ${split} was asked of ${word}, which has no parts for training and testing`, {
      expected: namesOfLabelled(dataSets),
      remedy: 'leave --split out, or name such a data set',
    });
  }
  const images = await openData([word], dataSets);
  return { images: withoutLabels(images), classes: null, notes: images.notes ?? [], transform };
}

/** Images whose classes nobody asks for. */
export function withoutLabels(images: ImageCollection): LabelledImages {
  const { description, length, fingerprint } = images;
  return { description, length, fingerprint, item: (index) => images.item(index), classOf: () => -1 };
}

function namesOfLabelled(dataSets: readonly DataSet[]): string {
  const names = dataSets.filter(({ openLabelled }) => openLabelled).map(({ name }) => name);
  return `a labelled data set, out of ${names.join(', ')}`;
}

/**
 * The images that a list names, in their own order. The list is a text file with one name a line, such as
 * n01440764_10029.JPEG; empty lines and those that start with # are passed over. Folders and extensions do not count,
 * because the same image may lie in a folder as .JPEG and in an archive as .jpg.
 * @throws UserError if the list cannot be read or is empty, or names images that are not there or not unique
 */
export async function subsetByFile(images: LabelledImages, listFile: string): Promise<LabelledImages> {
  const names = (await readLines(listFile)).map(shownName);
  if (names.length === 0) {
    throw new UserError(`${listFile} names no image`, { expected: 'one image name a line: n01440764_10029.JPEG' });
  }
  const stem = (name: string) => parsePath(name).name;
  const places = new Map(names.map((name): [string, number[]] => [stem(name), []]));
  for (let index = 0; index < images.length; index++) places.get(stem(images.item(index).name))?.push(index);
  const placesOf = (name: string) => places.get(stem(name)) ?? [];
  const missing = names.filter((name) => placesOf(name).length === 0);
  if (missing.length > 0) {
    const example = images.length > 0 ? parsePath(images.item(0).name).base : 'n01440764_10029.JPEG';
    const missed = `${missing.length} of the ${names.length} images in ${listFile}`;
    throw new UserError(`${missed} are not in ${images.description}: ${first(missing)}`, {
      expected: `names of its images, such as ${example}`,
      remedy: 'check that list and images belong to the same data set, and that no image is missing',
    });
  }
  const doubtful = names.filter((name) => placesOf(name).length > 1);
  if (doubtful.length > 0) {
    throw new UserError(
      `${doubtful.length} names in ${listFile} stand for several images of ${images.description}: ${first(doubtful)}`,
      { expected: 'names that only one image has', remedy: 'rename the images, or draw a part of them by its size' },
    );
  }
  return pickImages(images, [...places.values()].flat(), listFile);
}

/**
 * A part of the images, drawn class by class: round(fraction n) of a class with n images, and at least one. They keep
 * their order. A smaller part with the same seed lies within a larger one.
 * @param classes number of classes
 * @param fraction above 0, up to 1
 * @throws UserError if the fraction is outside its range
 */
export function subsetByFraction(images: LabelledImages, classes: number, fraction: number, seed: number) {
  if (!(fraction > 0 && fraction <= 1)) {
    throw new UserError(`a part of ${fraction} of the labels makes no sense`, {
      expected: 'a number above 0, up to 1: 0.01 is 1%',
    });
  }
  const chosen = classMembers(images, classes).flatMap((members, label) => {
    const count = Math.min(members.length, Math.max(1, Math.round(fraction * members.length)));
    const order = new RandomStream(seed, 'subset', label).permutation(members.length);
    return Array.from(order.subarray(0, count), (at) => members[at]);
  });
  return pickImages(images, chosen, `${Number((100 * fraction).toPrecision(6))}% of each class, seed ${seed}`);
}

/** The images with these numbers, in their own order. */
export function pickImages(images: LabelledImages, numbers: readonly number[], how: string): LabelledImages {
  const chosen = numbers.toSorted((a, b) => a - b);
  const place = (index: number): number => {
    if (index in chosen) return chosen[index];
    throw new Error(`there is no image ${index} of ${chosen.length}`);
  };
  return {
    description: `${chosen.length} of ${images.length} images of ${images.description} (${how})`,
    length: chosen.length,
    fingerprint: hash('sha256', `${images.fingerprint}\n${chosen.join()}`),
    item: (index) => images.item(place(index)),
    classOf: (index) => images.classOf(place(index)),
  };
}

/** 'train/n01440764/n01440764_10029.JPEG' -> base 'n01440764_10029.JPEG', name 'n01440764_10029' */
function parsePath(name: string): { base: string; name: string } {
  return posix.parse(name.replaceAll('\\', '/'));
}

/** Three of them, for messages. */
function first(names: readonly string[]): string {
  return names.slice(0, 3).join(', ') + (names.length > 3 ? ', ...' : '');
}
