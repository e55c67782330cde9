import { createHash } from 'node:crypto';
import { type DataSet, type ImageCollection, type Plugin, PluginError } from '../../core/plugin.js';
import { CLASSES, COUNTS, DISTANCES, drawScene } from './scene.js';

/** Changes whenever the same number gives another picture. */
const GENERATOR_VERSION = 1;
const DEFAULT_COUNT = 4096;
const LARGEST_COUNT = 10_000_000;

/**
 * Generated scenes of coloured, textured shapes at several distances, labelled with the kind of the shapes, their number
 * and the distance of the nearest one. Nothing is stored: picture number n is always the same.
 */
const shapes: DataSet = {
  name: 'shapes',
  summary: `generated scenes: ${CLASSES.length} classes, ${COUNTS.join(' to ')} shapes, ${DISTANCES.length} distances`,
  argument: `number of images, default ${DEFAULT_COUNT}`,
  async open(argument): Promise<ImageCollection> {
    const length = argument === null ? DEFAULT_COUNT : Number(argument);
    if (!Number.isInteger(length) || length < 1 || length > LARGEST_COUNT) {
      throw new PluginError(`shapes cannot have '${argument}' images`, {
        expected: `a whole number from 1 to ${LARGEST_COUNT} after the colon`,
        remedy: `write shapes:${DEFAULT_COUNT}, for example`,
      });
    }
    return {
      description: `shapes, ${length} generated images`,
      length,
      fingerprint: createHash('sha256').update(`shapes/${GENERATOR_VERSION}/${length}`).digest('hex'),
      item(index) {
        const { svg, labels } = drawScene(index);
        return { name: `shapes/${index}`, source: async () => Buffer.from(svg), labels };
      },
    };
  },
};

const plugin = {
  name: 'shapes',
  summary: 'A generated data set for demonstrations and tests',
  dataSets: [shapes],
} satisfies Plugin;

export default plugin;
