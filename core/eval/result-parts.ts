import { z } from 'zod';
import { listOf } from '../base/list-of.js';

/*
 * Parts of which results of evaluations are made.
 */

export const percent = z.number().min(0).max(100);
export const amount = z.number().min(0);
/** Percent of the images, with a 95% interval over them. */
export const accuracy = z.object({ value: percent, low: percent, high: percent });
export const accuracies = z.object({ top1: accuracy, top5: accuracy });
/** Top-1 after epochs, percent. */
export const curve = listOf(percent);
/** Test images by their class, row, and by the class that was named, column. */
export const confusion = z.object({ classes: listOf(z.string()), counts: listOf(listOf(z.int().min(0))) });

/** Top-1 over draws or seeds: their mean, the interval of one accuracy of its size, and their standard deviation. */
export const meanAccuracy = accuracy.extend({ deviation: amount.nullable(), values: listOf(percent) });
/** Images of each class whose labels are known. */
export const labelCount = z.union([
  z.object({ shots: z.int().min(1) }),
  z.object({ fraction: z.number().min(0).max(1) }),
]);

/** Effective ranks and exponents of features of the last layer (geometry.ts). */
export const geometry = z.object({
  images: z.int().min(1),
  rankMe: amount,
  rankMeCentred: amount,
  alphaReq: z.number().nullable(),
  lidar: z.object({ images: z.int().min(1), views: z.int().min(2), value: amount }).nullable(),
});

/** Classes by number with spaces between, in the order of the test images. */
export const predictions = z.object({
  /** SHA-256 of the names of the test images, one a line. */
  images: z.string(),
  labels: z.string(),
  head: z.string(),
  logistic: z.string(),
  /** Of the k that tables show; null where there is none. */
  neighbours: z.string().nullable(),
});

/** Percent; of the pixels of the test images. */
export const segmentation = z.object({
  /** Where pictures and masks lay. */
  data: z.string(),
  /** Numbers of the classes in masks. */
  classes: listOf(z.int().min(0)),
  trainImages: z.int().min(1),
  testImages: z.int().min(1),
  /** From which was learned. */
  patches: z.int().min(1),
  /** That were judged. */
  pixels: z.int().min(0),
  /** Over the classes that have one. */
  meanIou: percent,
  pixelAccuracy: percent,
  /** Of each class; null where it is neither there nor named. */
  iou: listOf(percent.nullable()),
});
