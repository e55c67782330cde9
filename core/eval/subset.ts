import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import { UserError } from '../base/errors.js';
import { shownName } from '../base/file-names.js';
import { RandomStream } from '../base/random.js';
import type { LabelledImages } from '../contract/data-sets.js';
import { classMembers } from '../data/info.js';
import { readLines } from '../data/listing/name-list.js';

/** Names shown in messages. */
const MAX_SHOWN = 3;

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
  const places = placesOf(images, new Set(names.map(stem)));
  const missing = names.filter((name) => !places.has(stem(name)));
  if (missing.length > 0) {
    const example = images.length > 0 ? baseName(images.item(0).name) : 'n01440764_10029.JPEG';
    throw new UserError(
      `${missing.length} of the ${names.length} images in ${listFile} are not in ${images.description}: ${first(missing)}`,
      {
        expected: `names of its images, such as ${example}`,
        remedy: 'check that list and images belong to the same data set, and that no image is missing',
      },
    );
  }
  const doubtful = names.filter((name) => (places.get(stem(name))?.length ?? 0) > 1);
  if (doubtful.length > 0) {
    throw new UserError(
      `${doubtful.length} names in ${listFile} stand for several images of ${images.description}: ${first(doubtful)}`,
      { expected: 'names that only one image has', remedy: 'rename the images, or draw a part of them by its size' },
    );
  }
  return pick(images, [...places.values()].flat(), listFile);
}

/**
 * A part of the images, drawn class by class: round(fraction n) of a class with n images, and at least one. They keep
 * their order. A smaller part with the same seed lies within a larger one.
 * @param classes number of classes
 * @param fraction above 0, up to 1
 * @throws UserError if the fraction is outside its range
 */
export function subsetByFraction(
  images: LabelledImages,
  classes: number,
  fraction: number,
  seed: number,
): LabelledImages {
  if (!(fraction > 0 && fraction <= 1)) {
    throw new UserError(`a part of ${fraction} of the labels makes no sense`, {
      expected: 'a number above 0, up to 1: 0.01 is 1%',
    });
  }
  const chosen = classMembers(images, classes).flatMap((members, label) => {
    const count = Math.min(members.length, Math.max(1, Math.round(fraction * members.length)));
    const order = new RandomStream(seed, 'subset', label).permutation(members.length);
    return Array.from(order.subarray(0, count), (at) => members[at] as number);
  });
  return pick(images, chosen, `${Number((100 * fraction).toPrecision(6))}% of each class, seed ${seed}`);
}

/** The images with these numbers, in their own order. */
function pick(images: LabelledImages, numbers: readonly number[], how: string): LabelledImages {
  const chosen = numbers.toSorted((a, b) => a - b);
  const place = (index: number): number => {
    const found = chosen[index];
    if (found === undefined) throw new Error(`there is no image ${index} of ${chosen.length}`);
    return found;
  };
  const hash = createHash('sha256').update(`${images.fingerprint}\n${chosen.join()}`);
  return {
    description: `${chosen.length} of ${images.length} images of ${images.description} (${how})`,
    length: chosen.length,
    fingerprint: hash.digest('hex'),
    item: (index) => images.item(place(index)),
    classOf: (index) => images.classOf(place(index)),
  };
}

/** Where each of the wanted names is found. */
function placesOf(images: LabelledImages, wanted: ReadonlySet<string>): Map<string, number[]> {
  const places = new Map<string, number[]>();
  for (let index = 0; index < images.length; index++) {
    const name = stem(images.item(index).name);
    if (wanted.has(name)) places.set(name, [...(places.get(name) ?? []), index]);
  }
  return places;
}

/** 'train/n01440764/n01440764_10029.JPEG' -> 'n01440764_10029.JPEG' */
function baseName(name: string): string {
  return posix.basename(name.replaceAll('\\', '/'));
}

/** 'train/n01440764/n01440764_10029.JPEG' -> 'n01440764_10029' */
function stem(name: string): string {
  const base = baseName(name);
  return base.slice(0, base.length - posix.extname(base).length);
}

function first(names: readonly string[]): string {
  return names.slice(0, MAX_SHOWN).join(', ') + (names.length > MAX_SHOWN ? ', ...' : '');
}
