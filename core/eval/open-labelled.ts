import { existsSync } from 'node:fs';
import { UserError, unknownName } from '../base/errors.js';
import { systemPath } from '../base/file-names.js';

import type { DataSet, ImageCollection, LabelledData, LabelledImages, ProbeProtocol } from '../contract/data-sets.js';
import { findDataSet, openData, openDataSet, splitName } from '../data/open.js';
import { areShards } from '../data/shards/find.js';

/** Labelled data, and the data set that opened them. */
export interface OpenedData {
  dataSet: DataSet;
  data: LabelledData;
}

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
  const named = findDataSet(word, dataSets);
  const unnamed = !named && (await areShards(word)) ? SHARDS : FOLDER;
  if (!named && unnamed === FOLDER && !existsSync(systemPath(word))) {
    const names = dataSets.map(({ name }) => name);
    throw unknownName('folder or data set', word, names);
  }
  const dataSet = named ?? dataSets.find(({ name }) => name === unnamed);
  const opened = dataSet && (await openDataSet(dataSet, named ? splitName(word)[1] : word));
  if (!opened?.labelled) {
    throw new UserError(`${word} has no labels to evaluate with`, {
      expected: `a folder with train/CLASS and val/CLASS below it, or ${namesOfLabelled(dataSets)}`,
    });
  }
  const { train, test, classes } = opened.labelled;
  if (test.length === 0) {
    throw new UserError(`${word} has no test images to evaluate with`, {
      expected: 'images for training, and others for validation or testing',
      remedy: 'set some images of each class apart',
    });
  }
  requireTwoClasses(word, train, classes);
  return { dataSet: opened.dataSet, data: opened.labelled };
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
