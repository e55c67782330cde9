import { RandomStream } from '../../core/base/random.js';
import type { ImageItem, LabelledImages } from '../../core/plugin.js';

/** Labelled images with made-up names, which are never read unless `source` gives something to read. */
export function labelledImages(
  labels: readonly number[],
  nameOf: (index: number) => string = (index) => `class${labels[index]}/image_${index}.png`,
  source: (index: number) => ImageItem['source'] = nameOf,
): LabelledImages {
  return {
    description: 'images of a test',
    length: labels.length,
    fingerprint: `fingerprint of ${labels.join()}`,
    item: (index) => ({ name: nameOf(index), source: source(index) }),
    classOf: (index) => labels[index] as number,
  };
}

/** Grey pictures with a bright bar, whose class is its place: 0 above, 1 below, 2 upright. No grey or place tells alone. */
export function barredImages(count: number, seed: number): LabelledImages {
  const labels = Array.from({ length: count }, (_, index) => index % 3);
  return labelledImages(labels, undefined, (index) => async () => {
    const stream = new RandomStream(seed, 'bars', index);
    const [paper, ink] = [stream.integer(0, 90), stream.integer(160, 255)];
    const at = stream.integer(0, 6) + (labels[index] === 1 ? 12 : 0);
    const bar = labels[index] === 2 ? `x="${3 * at}" width="6" height="24"` : `y="${at}" width="24" height="6"`;
    return Buffer.from(
      `<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24"><rect width="24" height="24" fill="${grey(paper)}"/><rect ${bar} fill="${grey(ink)}"/></svg>`,
    );
  });
}

const grey = (value: number) => `rgb(${value},${value},${value})`;
