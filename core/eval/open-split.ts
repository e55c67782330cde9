import { UserError } from '../base/errors.js';
import { openDataSet } from '../data/labelled.js';
import { findDataSet, openData, splitName } from '../data/open.js';
import type { DataSet, ImageCollection, LabelledImages, ProbeProtocol } from '../plugin.js';

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
  if (dataSet?.openLabelled) {
    const { labelled } = await openDataSet(dataSet, splitName(word)[1]);
    if (labelled) {
      const images = labelled[split ?? 'train'];
      if (images.length > 0) return { images, classes: labelled.classes, notes: labelled.notes ?? [], transform };
      throw new UserError(`${word} has no test images`, {
        expected: 'a part that is there',
        remedy: 'use --split train',
      });
    }
  }
  if (split !== null) {
    throw new UserError(`--split ${split} was asked of ${word}, which has no parts for training and testing`, {
      expected: `a labelled data set, out of ${namesOf(dataSets.filter(({ openLabelled }) => openLabelled))}`,
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

function namesOf(dataSets: readonly DataSet[]): string {
  return dataSets.map(({ name }) => name).join(', ') || 'none that is installed';
}
