import { createHash } from 'node:crypto';
import sharp from 'sharp';
import { type DataSet, type LabelledData, type LabelledImages, type Plugin, PluginError } from '../../core/plugin.js';
import { CLASSES, COUNTS, classOfScene, DISTANCES, drawScene } from './scene.js';

/** Changes whenever the same number gives another picture. */
const GENERATOR_VERSION = 1;
const DEFAULT_COUNT = 4096;
/** Test images have numbers from here on, so that no training set of any size has one of them. */
const LARGEST_COUNT = 10_000_000;
const FEWEST_TEST_IMAGES = 64;
/** Most bytes of drawn scenes that are kept for the next time, by any set: training and probes share their pictures. */
const KEPT_BYTES = 64 * 2 ** 20;

/**
 * Generated scenes of coloured, textured shapes at several distances, labelled with the kind of the shapes, their number
 * and the distance of the nearest one. Nothing is stored on disk: picture number n is always the same.
 */
const shapes: DataSet = {
  name: 'shapes',
  summary: `generated scenes: ${CLASSES.length} classes, ${COUNTS.join(' to ')} shapes, ${DISTANCES.length} distances`,
  argument: `number of images, default ${DEFAULT_COUNT}`,
  open: async (argument) => scenes(requireCount(argument), 0, 'generated'),
  async openLabelled(argument): Promise<LabelledData> {
    const count = requireCount(argument);
    const train = scenes(count, 0, 'generated training');
    const test = scenes(Math.max(FEWEST_TEST_IMAGES, Math.floor(count / 4)), LARGEST_COUNT, 'generated test');
    return { classes: CLASSES, train, test };
  },
};

/** @throws PluginError if an argument is no number of images */
function requireCount(argument: string | null): number {
  const count = argument === null ? DEFAULT_COUNT : Number(argument);
  if (Number.isInteger(count) && count >= 1 && count <= LARGEST_COUNT) return count;
  throw new PluginError(`shapes cannot have '${argument}' images`, {
    expected: `a whole number from 1 to ${LARGEST_COUNT} after the colon`,
    remedy: `write shapes:${DEFAULT_COUNT}, for example`,
  });
}

/** Scenes from number `first` on, with the kind of their shapes as class. */
function scenes(length: number, first: number, what: string): LabelledImages {
  const range = first === 0 ? `${length}` : `${first}+${length}`;
  return {
    description: `shapes, ${length} ${what} images`,
    length,
    fingerprint: createHash('sha256').update(`shapes/${GENERATOR_VERSION}/${range}`).digest('hex'),
    item(index) {
      const number = first + index;
      return {
        name: `shapes/${number}`,
        source: () => draw(number),
        get labels() {
          return drawScene(number).labels;
        },
      };
    },
    classOf: (index) => classOfScene(first + index),
  };
}

const kept = { drawn: new Map<number, Buffer>(), bytes: 0 };

/**
 * The picture of a number, as PNG: reading that again takes less than half the time of drawing the scene. Scenes cover all of
 * it; without transparency it is read faster.
 */
async function draw(number: number): Promise<Buffer> {
  const known = kept.drawn.get(number);
  if (known) return known;
  const picture = await sharp(Buffer.from(drawScene(number).svg))
    .removeAlpha()
    .png({ compressionLevel: 1 })
    .toBuffer();
  if (kept.bytes + picture.length <= KEPT_BYTES && !kept.drawn.has(number)) {
    kept.drawn.set(number, picture);
    kept.bytes += picture.length;
  }
  return picture;
}

const plugin = {
  name: 'shapes',
  summary: 'A generated data set for demonstrations and tests',
  dataSets: [shapes],
} satisfies Plugin;

export default plugin;
