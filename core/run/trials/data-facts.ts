import { hash } from 'node:crypto';
import { z } from 'zod';
import { UserError } from '../../base/errors.js';
import type { OpenedData } from '../../eval/labelled-data.js';

const count = z.int().min(1);

/** What a plan says of the data on which runs are judged. */
export const dataSchema = z.object({
  /** Where training and test images come from, for people. */
  train: z.string(),
  test: z.string(),
  classes: count,
  trainImages: count,
  testImages: count,
  /** Of training and test images. */
  fingerprint: z.string(),
});
export type DataFacts = z.infer<typeof dataSchema>;

export function dataFacts({ data: { train, test, classes } }: OpenedData): DataFacts {
  return {
    train: train.description,
    test: test.description,
    classes: classes.length,
    trainImages: train.length,
    testImages: test.length,
    fingerprint: hash('sha256', `${train.fingerprint}\n${test.fingerprint}`),
  };
}

/** @throws UserError if the images are others than those that were there when it, a comparison for example, was begun */
export function requireSameData(opened: OpenedData, data: DataFacts, word: string, it: 'comparison' | 'sweep'): void {
  if (dataFacts(opened).fingerprint === data.fingerprint) return;
  throw new UserError(`the images in ${word} are not those that the ${it} was begun with`, {
    expected: 'the same files, by name and size',
    remedy: `put them back as they were, or begin another ${it} with another --out`,
  });
}
