import { createHash } from 'node:crypto';
import sharp from 'sharp';
import { type LabelledImages, PluginError } from '../../core/plugin.js';

/** Side of an image in pixels. */
const SIDE = 32;
/** Values of one colour of an image. */
const PLANE = SIDE * SIDE;
/** Bytes of an image: red, green and blue one after the other, each [32, 32]. */
export const IMAGE_BYTES = 3 * PLANE;

/** Training or test images in memory. */
export interface Part {
  /** Where they were read from, for people. */
  place: string;
  /** All images; number i starts at `first + i * stride`. */
  data: Uint8Array;
  first: number;
  stride: number;
  /** The class of each. */
  labels: ArrayLike<number>;
}

/**
 * The images of a part. The same pictures have the same names and fingerprint in every form.
 * @param name `train` or `test`
 * @throws PluginError if there are no images, or a class has no name
 */
export function partImages(
  name: string,
  { place, data, first, stride, labels }: Part,
  classes: number,
): LabelledImages {
  const { length } = labels;
  if (length === 0) throw new PluginError(`${place} has no images`, { remedy: 'fetch the data set anew' });
  const rgb = (index: number) => {
    if (!(index >= 0 && index < length)) throw new Error(`there is no image ${index} of ${length}`);
    return data.subarray(first + index * stride, first + index * stride + IMAGE_BYTES);
  };
  const classOf = (index: number) => labels[index] as number;
  const hash = createHash('sha256').update(`cifar100/${length}\n`);
  for (let index = 0; index < length; index++) {
    const label = classOf(index);
    if (!(Number.isInteger(label) && label >= 0 && label < classes)) {
      throw new PluginError(`image ${index} of ${place} has class ${label}`, {
        expected: `a whole number from 0 to ${classes - 1}, because ${classes} classes have names`,
        remedy: 'fetch the data set anew',
      });
    }
    hash.update(Uint8Array.of(label)).update(rgb(index));
  }
  return {
    description: place,
    length,
    fingerprint: hash.digest('hex'),
    classOf,
    item: (index) => ({
      name: `cifar100/${name}/${index}`,
      source: () => toPng(rgb(index)),
      labels: { class: classOf(index) },
    }),
  };
}

/** @param planes [3, 32, 32] */
async function toPng(planes: Uint8Array): Promise<Uint8Array> {
  const pixels = new Uint8Array(IMAGE_BYTES); // [32, 32, 3]
  for (let at = 0; at < PLANE; at++) {
    for (let colour = 0; colour < 3; colour++) pixels[3 * at + colour] = planes[colour * PLANE + at] as number;
  }
  return sharp(pixels, { raw: { width: SIDE, height: SIDE, channels: 3 } })
    .png({ compressionLevel: 0 })
    .toBuffer();
}
