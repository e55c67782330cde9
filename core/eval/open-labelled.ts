import { existsSync } from 'node:fs';
import { UserError, unknownName } from '../base/errors.js';
import { systemPath } from '../base/file-names.js';
import { openDataSet } from '../data/labelled.js';
import { findDataSet, splitName } from '../data/open.js';
import { areShards } from '../data/shards/find.js';
import type { DataSet, LabelledData, LabelledImages } from '../plugin.js';

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
 * @throws UserError if there is no such thing, it has no labels, or it is damaged
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
  if (opened?.labelled) return { dataSet: opened.dataSet, data: requireClasses(word, opened.labelled) };
  const names = dataSets.filter((known) => known.openLabelled).map(({ name }) => name);
  throw new UserError(`${word} has no labels to evaluate with`, {
    expected: `a folder with train/CLASS and val/CLASS below it, or a data set out of ${names.join(', ')}`,
  });
}

/**
 * Labelled data on which a classifier can be trained and judged.
 * @throws UserError if fewer than two classes have training images, or there are no test images
 */
function requireClasses(word: string, data: LabelledData): LabelledData {
  const { train, test, classes } = data;
  if (test.length === 0) {
    throw new UserError(`${word} has no test images to evaluate with`, {
      expected: 'images for training, and others for validation or testing',
      remedy: 'set some images of each class apart',
    });
  }
  requireTwoClasses(word, train, classes);
  return data;
}

/** @throws UserError if fewer than two classes have images */
export function requireTwoClasses(what: string, images: LabelledImages, classes: readonly string[]): void {
  const first = images.classOf(0);
  for (let index = 1; index < images.length; index++) if (images.classOf(index) !== first) return;
  const others = classes.length > 1 ? `: the other ${classes.length - 1} have none` : '';
  throw new UserError(
    `two classes are needed, and all training images of ${what} are of one, '${classes[first]}'${others}`,
    {
      expected: 'training images of two classes or more',
      remedy: 'add images of another class',
    },
  );
}
