/**
 * A plugin to copy. It brings one of each: a data set, a loss, a regularizer, a tokenizer, a monitor, a method; leave out
 * what you do not need.
 *
 * The data set is a folder with `labels.csv`, whose lines are `image,class`, and the images. The first four of five
 * lines are for training, every fifth is a test image.
 *
 * As a plugin of your own, outside this repository: copy this folder as JavaScript, import from 'ijepa/plugin', and name
 * its file in a configuration:
 *
 *     plugins: [./my-plugin.js]
 *     loss: log-cosh                    # or --loss log-cosh
 *     regularizer: projected-variance
 *     monitors: [collapse, length]
 *
 * `--method simmim` trains by the method, `--method cae --tokenizer corner-colours` with the tokenizer. `npx ijepa plugin check ./my-plugin.js template:folder` holds all of it against
 * the contract.
 */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type DataSet,
  definePlugin,
  type ImageCollection,
  type LabelledData,
  type LabelledImages,
  type Monitor,
  PluginError,
  type PredictionLoss,
  patchify,
  type Regularizer,
  type Tokenizer,
  textOf,
  withFiles,
} from '../../core/plugin.js';
import { simmim } from './method.js';

/** A line of labels.csv. */
interface Entry {
  /** As the list has it: the same on every machine. */
  name: string;
  path: string;
  className: string;
  /** Size of the image file; the fingerprint tells from it that an image was replaced. */
  bytes: number;
}

const template: DataSet = {
  // Users write `template:photos` to get the data in the folder photos.
  name: 'template',
  summary: 'a folder with labels.csv, whose lines are image,class',
  argument: 'folder',
  // Images to train on without labels. Reads no image yet: `source` names the file, or gives its bytes when asked.
  async open(argument): Promise<ImageCollection> {
    return images(`${argument}, training`, trainingPart(await readEntries(argument)), []);
  },
  // Left out where there are no labels. A class is its place in `classes`; test images have classes of training only.
  async openLabelled(argument): Promise<LabelledData> {
    const entries = await readEntries(argument);
    const classes = [...new Set(entries.map(({ className }) => className))].sort();
    const train = images(`${argument}, training`, trainingPart(entries), classes);
    const test = images(`${argument}, test`, testPart(entries), classes);
    return { classes, train, test };
  },
  // Looks at names only, and gives what `open` takes.
  async locate(folder): Promise<string | null> {
    return stat(join(folder, 'labels.csv')).then(
      () => folder,
      () => null,
    );
  },
  // `origin` would say where the data is to be had, `protocol` how the paper evaluates on it.
};

/** What the user can mend is a PluginError: what is wrong and where, what was expected, what to do. */
async function readEntries(argument: string | null): Promise<Entry[]> {
  const folder = argument ?? '.';
  const list = join(folder, 'labels.csv');
  const bytes = await withFiles(({ readRegularFile }) => readRegularFile(list)).catch(() => {
    throw new PluginError(`${list} cannot be read`, {
      expected: 'lines of image,class',
      remedy: 'name the folder after a colon: template:photos',
    });
  });
  const lines = textOf(bytes, list)
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '');
  const entries = lines.map(async (line, at) => {
    const [name, className, more] = line.split(',');
    if (!name || !className || more !== undefined) {
      throw new PluginError(`${list}, line ${at + 1}, is '${line}'`, { expected: 'image,class', remedy: 'correct it' });
    }
    const path = join(folder, name);
    const bytes = await stat(path).then(
      ({ size }) => size,
      () => 0, // met again, and reported, when the image is read
    );
    return { name, path, className, bytes };
  });
  if (entries.length < 5) throw new PluginError(`${list} has ${entries.length} images`, { expected: 'five or more' });
  return Promise.all(entries);
}

function trainingPart(entries: readonly Entry[]): Entry[] {
  return entries.filter((_, at) => at % 5 !== 4);
}

function testPart(entries: readonly Entry[]): Entry[] {
  return entries.filter((_, at) => at % 5 === 4);
}

/** The fingerprint changes with the images and their order, and is the same whenever they are. */
function images(description: string, entries: readonly Entry[], classes: readonly string[]): LabelledImages {
  const hash = createHash('sha256');
  for (const { name, className, bytes } of entries) hash.update(`${name}\0${className}\0${bytes}\n`);
  const entryAt = (index: number) => {
    const entry = entries[index];
    if (entry) return entry;
    throw new Error(`there is no image ${index} of ${entries.length}`);
  };
  return {
    description,
    length: entries.length,
    fingerprint: hash.digest('hex'),
    classOf: (index) => classes.indexOf(entryAt(index).className),
    item: (index) => ({ name: entryAt(index).path, source: entryAt(index).path }),
  };
}

const logCosh: PredictionLoss = {
  name: 'log-cosh',
  summary: 'squared near 0, linear far away, smooth everywhere',
  // With operations of `tf`, which is handed in: log(cosh(d)) = |d| + log(1 + exp(-2|d|)) - log 2, as a mean.
  compute(tf, predicted, target) {
    const distance = predicted.sub(target).abs(); // [M, J, D]
    return distance
      .add(tf.softplus(distance.mul(-2)))
      .sub(Math.LN2)
      .mean();
  },
};

const DIRECTIONS = 32;

const projectedVariance: Regularizer<'directions'> = {
  name: 'projected-variance',
  summary: 'on random directions, rows are to have variance 1',
  // Left out where nothing is random. Each step gets other numbers, the same whenever the run is repeated.
  draw: (random, width) => ({
    directions: {
      shape: [width, DIRECTIONS],
      values: Float32Array.from({ length: width * DIRECTIONS }, () => random.normal() / Math.sqrt(width)),
    },
  }),
  compute(tf, pooled, { directions }) {
    const projected = tf.matMul(pooled, directions); // [n, DIRECTIONS]
    return tf.moments(projected, 0).variance.sub(1).square().mean();
  },
};

const cornerColours: Tokenizer = {
  name: 'corner-colours',
  summary: 'which corner of the cube of colours is nearest to the mean colour of a patch',
  vocabularySize: 8,
  // As for a loss, operations of `tf`: one token of each patch, told by a 1 among zeros.
  tokens(tf, images, patchSize) {
    const [count, side] = images.shape as [number, number];
    const patches = (side / patchSize) ** 2;
    const colours = patchify(images, patchSize)
      .reshape([count, patches, patchSize ** 2, 3])
      .mean(2); // [B, N, 3]
    const corner = tf
      .greater(colours, 0.5)
      .cast('float32')
      .mul(tf.tensor1d([1, 2, 4]))
      .sum(2); // [B, N]
    return tf.oneHot(corner.cast('int32'), 8).cast('float32'); // [B, N, 8]
  },
};

const length: Monitor<{ first: number }> = {
  name: 'length',
  summary: 'mean length of the features, and how it has grown since the first observation',
  values: ['mean', 'growth'],
  start: ({ images, width }) => ({
    // What has to be known at the next observation is handed back as `memory`, and kept in checkpoints.
    observe({ step, features }, memory) {
      const lengths = images.map((_, row) => Math.hypot(...features.subarray(row * width, (row + 1) * width)));
      const mean = lengths.reduce((sum, value) => sum + value, 0) / lengths.length;
      const first = memory?.first ?? mean;
      const growth = mean / first;
      const message = `step ${step}: features are ${growth.toFixed(1)} times as long as at the start`;
      return { values: { mean, growth }, memory: { first }, ...(growth > 10 && { message }) };
    },
  }),
};

export default definePlugin({
  name: 'template',
  summary: 'An example of a plugin',
  dataSets: [template],
  losses: [logCosh],
  regularizers: [projectedVariance],
  tokenizers: [cornerColours],
  methods: [simmim],
  monitors: [length],
});
