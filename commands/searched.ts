import { extname } from 'node:path';
import { type Console, count } from '../core/base/console.js';
import { UserError } from '../core/base/errors.js';
import { PROGRAM, programVersion } from '../core/base/program.js';
import { startEngine } from '../core/engine/start.js';
import { extractFeatures } from '../core/eval/features.js';
import { FEATURES_ENDINGS, readFeatures, type StoredFeatures } from '../core/eval/features-file.js';
import { openSplit } from '../core/eval/labelled-data.js';
import { networkFacts } from '../core/eval/named-network.js';
import { loadNetwork } from '../core/eval/network.js';
import { featureColumns } from '../core/eval/samples.js';
import { USUAL_WEIGHTS } from '../core/exchange/builtin.js';
import type { Ranks } from '../core/train/communicator/ranks.js';
import type { SearchOptions } from './options/using.js';
import { configuredDataSets } from './plugins.js';

/**
 * What is searched: a file of features, or the features of images, which are computed here and kept nowhere.
 * @throws UserError where it is neither, or several processes were to share what is computed for one search
 */
export async function openSearched(asked: SearchOptions, console: Console, ranks: Ranks): Promise<StoredFeatures> {
  const { in: word } = asked;
  if (FEATURES_ENDINGS.includes(extname(word))) return readFeatures(word);
  if (ranks.size > 1) {
    throw new UserError(`--in ${word} is no file of features, and ${ranks.size} ranks were started`, {
      expected: 'a file of features (.safetensors), or one process',
      remedy: `write one with: ${PROGRAM} features CHECKPOINT ${word} --out FILE.safetensors`,
    });
  }
  return featuresOfImages(asked, console);
}

async function featuresOfImages(asked: SearchOptions, console: Console): Promise<StoredFeatures> {
  const { device, precision, threads, batchSize, maxUnreadable, maxMegapixels } = asked;
  const split = await openSplit(asked.in, null, await configuredDataSets());
  const engine = await startEngine(asked.engine, { device, precision, ...(threads !== null && { threads }) });
  const network = await loadNetwork(asked.checkpoint ?? USUAL_WEIGHTS, asked.encoder);
  console.line(`network  ${network.arch}, in ${network.facts.checkpoint}`);
  console.line(`data     ${count(split.images.length, 'image')}: ${split.images.description}`);
  for (const note of [...(network.notes ?? []), ...split.notes]) console.warn(`note     ${note}`);
  const progress = console.transfer('computed', 'images');
  const table = await extractFeatures(engine, network, split.images, {
    ...{ batchSize, maxUnreadable, pixelLimit: Math.floor(maxMegapixels * 1e6), transform: split.transform },
    ...{ views: 'test', seed: 0, cache: null, onProgress: progress.update },
  }).finally(progress.stop);
  network.dispose();
  for (const { name, reason } of table.unreadable) console.warn(`left out: ${name}: ${reason}`);
  const { width, names, labels } = table;
  const { classes } = split;
  return {
    ...{ data: featureColumns(table, 'last'), width, names },
    classes: classes && Array.from(labels, (label) => classes[label]),
    facts: {
      ...networkFacts(network),
      ...{ layers: 'last', data: split.images.description, source: asked.in, transform: split.transform },
      ...(classes && { split: 'train' }),
      programVersion: programVersion(),
    },
  };
}
