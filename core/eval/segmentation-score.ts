import type { ClassMask } from '../data/decode/png-ids.js';

/*
 * Classes of pixels.
 *
 * Letters: H, W height and width of a mask, S side of the square that an encoder sees of a picture, g patches along it, C classes.
 */

/** What a number that no class has stands for. */
export const NO_CLASS = -1;

/**
 * The class that most pixels of each patch have, of equals the first. The mask becomes a square of side S as its picture does,
 * by nearest neighbours: pixel i of S is pixel ⌊(i + ½) H / S⌋.
 * @param classOf the class of each number of the mask; -1 for what is ignored
 * @param patchSize S / g
 * @returns [g g], row by row; -1 for patches without a class
 */
export function patchClasses(
  { width, height, ids }: ClassMask,
  classOf: Int16Array,
  grid: number,
  patchSize: number,
): Int32Array {
  const side = grid * patchSize;
  const nearest = (length: number) =>
    Int32Array.from({ length: side }, (_, at) => Math.floor(((at + 0.5) * length) / side));
  const [rows, columns] = [nearest(height), nearest(width)];
  const classes = Math.max(...classOf) + 1;
  const result = new Int32Array(grid * grid).fill(NO_CLASS);
  for (let patch = 0; patch < result.length; patch++) {
    const [top, left] = [Math.floor(patch / grid) * patchSize, (patch % grid) * patchSize];
    const counts = new Int32Array(classes);
    for (let pixel = 0; pixel < patchSize ** 2; pixel++) {
      const row = rows[top + Math.floor(pixel / patchSize)];
      const label = classOf[ids[row * width + columns[left + (pixel % patchSize)]]];
      if (label !== NO_CLASS) counts[label] += 1;
    }
    const most = Math.max(...counts);
    if (most > 0) result[patch] = counts.indexOf(most);
  }
  return result;
}

/** Places between which a sample along an axis lies, and how far it is from the first. */
interface Between {
  low: Int32Array;
  high: Int32Array;
  part: Float64Array;
}

/** Bilinear samples as PyTorch's `interpolate` without `align_corners` takes them: (i + ½) g / length - ½, not below 0. */
function samplesAlong(length: number, grid: number): Between {
  const at = Float64Array.from({ length }, (_, pixel) => Math.max(0, ((pixel + 0.5) * grid) / length - 0.5));
  const low = Int32Array.from(at, Math.floor);
  return {
    low,
    high: low.map((place) => Math.min(place + 1, grid - 1)),
    part: at.map((value, pixel) => value - low[pixel]),
  };
}

/**
 * Adds the pixels of a mask by their class, row, and by the class of the highest of the logits, which are interpolated
 * bilinearly from patches to pixels (DINOv2, Oquab et al. 2023, section 7.4; iBOT).
 * @param logits [g g, C]
 * @param confusion [C, C], to which is added
 */
export function countPixels(
  logits: Float64Array,
  grid: number,
  { width, height, ids }: ClassMask,
  classOf: Int16Array,
  confusion: Float64Array,
): void {
  const classes = Math.sqrt(confusion.length);
  const [down, across] = [samplesAlong(height, grid), samplesAlong(width, grid)];
  const row = new Float64Array(grid * classes); // logits of a row of pixels, at the places of patches
  for (let y = 0; y < height; y++) {
    const [above, below, part] = [down.low[y] * grid * classes, down.high[y] * grid * classes, down.part[y]];
    for (let at = 0; at < row.length; at++) row[at] = logits[above + at] * (1 - part) + logits[below + at] * part;
    for (let x = 0; x < width; x++) {
      const truth = classOf[ids[y * width + x]];
      if (truth === NO_CLASS) continue;
      const [left, right, share] = [across.low[x] * classes, across.high[x] * classes, across.part[x]];
      let [best, named] = [Number.NEGATIVE_INFINITY, 0];
      for (let label = 0; label < classes; label++) {
        const logit = row[left + label] * (1 - share) + row[right + label] * share;
        if (logit > best) [best, named] = [logit, label];
      }
      confusion[truth * classes + named] += 1;
    }
  }
}

/**
 * What a table of confusions comes to, in percent: of each class pixels that are rightly named over those that are of it or
 * named so, null where there are none of either; their mean over the other classes; and pixels that are rightly named of all.
 * @param confusion [C, C]
 */
export function segmentationScore(confusion: Float64Array) {
  const classes = Math.sqrt(confusion.length);
  const at = (truth: number, named: number) => confusion[truth * classes + named];
  const all = Array.from({ length: classes }, (_, label) => label);
  const sum = (numbers: readonly number[]) => numbers.reduce((total, one) => total + one, 0);
  const iou = all.map((label) => {
    const union = sum(all.map((other) => at(label, other) + at(other, label))) - at(label, label);
    return union === 0 ? null : (100 * at(label, label)) / union;
  });
  const known = iou.filter((one) => one !== null);
  const pixels = sum([...confusion]);
  const right = sum(all.map((label) => at(label, label)));
  return { meanIou: sum(known) / known.length, pixelAccuracy: (100 * right) / pixels, iou, pixels };
}
