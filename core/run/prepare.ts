import type { Options } from '../config/schema.js';
import { batchSizeFor, learningRateSchedule } from '../config/settings.js';
import type { ImageCollection } from '../contract/data-sets.js';
import type { ListingOptions } from '../data/listing/kept.js';
import { requireOneBatch, stepsPerEpoch } from '../data/loader.js';
import { openData } from '../data/open.js';
import type { Engine } from '../engine/contract.js';
import { startEngine } from '../engine/start.js';
import { createMethod } from '../methods/create.js';
import type { Method, MethodDefinition } from '../methods/method.js';
import type { ImageEncoder } from '../nn/backbone.js';
import { createOptimiser } from '../optim/create.js';
import type { Optimiser } from '../optim/optimiser.js';
import type { Plugin, SelectedPlugins } from '../plugins/plugin.js';
import { gatherJson, type Ranks, requireSame, SharedError, threadsOf } from '../train/communicator/ranks.js';
import { chooseMicroBatchSize } from '../train/memory.js';
import { askedShards, type Shards } from '../train/shards.js';

/** What a run is made of, on each of its ranks. */
export interface Training extends SelectedPlugins {
  definition: MethodDefinition;
  method: Method;
  backbone: ImageEncoder;
  optimiser: Optimiser;
  /** With the images that are computed at once. */
  options: Options;
  images: ImageCollection;
  engine: Engine;
  ranks: Ranks;
  /** How ranks share what the optimiser keeps; null where each keeps all. */
  shards: Shards | null;
}

/** What is to be trained. */
interface Task {
  definition: MethodDefinition;
  options: Options;
  plugins: readonly Plugin[];
  selected: SelectedPlugins;
  listing: ListingOptions;
  ranks: Ranks;
  /** Images that were computed at once so far; null in a new run. */
  microBatchSize: number | null;
  /** Sees to it that these are the right images. */
  check?: (images: ImageCollection) => void;
}

/**
 * Opens the data, starts the engine, makes the method. Ranks that would not train the same are refused.
 * @throws UserError with what is wrong; nothing has been written
 */
export async function prepareTraining(task: Task): Promise<Training> {
  const { definition, plugins, selected, ranks } = task;
  const { device, precision } = task.options;
  const dataSets = plugins.flatMap((plugin) => plugin.dataSets ?? []);
  const images = await openData(task.options.data, dataSets, task.listing);
  task.check?.(images);
  const asked = fittedTo(images.length, task.options);
  const { batchSize } = asked;
  requireOneBatch(images, batchSize);
  learningRateSchedule(asked);
  requireImages(ranks, batchSize);
  const threads = asked.threads ?? threadsOf(ranks);
  const engine = await startEngine(asked.engine, { device, precision, threads });
  const { method, encoder: backbone } = createMethod(definition, asked, selected.extensions);
  await method.check?.();
  const share = Math.ceil(batchSize / ranks.size);
  const own =
    asked.microBatchSize ??
    task.microBatchSize ??
    chooseMicroBatchSize(definition, method, { ...asked, batchSize: share }, engine, ranks);
  const facts = { data: images.fingerprint, images: images.length, engine: `${engine.name} ${engine.version}`, own };
  const all = await gatherJson(ranks, facts);
  requireSame(ranks, 'data', all, ({ images, data }) => `${images} images (fingerprint ${data.slice(0, 12)})`);
  requireSame(ranks, 'engine', all, ({ engine }) => `the engine ${engine}`);
  const microBatchSize = Math.min(share, ...all.map(({ own }) => own));
  const options: Options = { ...asked, microBatchSize };
  const optimiser = createOptimiser(engine, options);
  const shards = askedShards(options, method, ranks);
  return { definition, method, shards, backbone, optimiser, options, images, engine, ranks, ...selected };
}

/** With the epochs in which a run sees about as many images as it is to see, and whole batches, where options say so. */
function fittedTo(images: number, options: Options): Options {
  const { imagesSeen } = options;
  if (imagesSeen === null) return options;
  const batchSize = batchSizeFor(options, images);
  const seenInEpoch = Math.max(1, stepsPerEpoch(images, batchSize)) * batchSize;
  return { ...options, batchSize, epochs: Math.max(1, Math.round(imagesSeen / seenInEpoch)) };
}

function requireImages({ size }: Ranks, batchSize: number): void {
  if (batchSize >= size) return;
  throw new SharedError(`a batch of ${batchSize} images is less than one for each of ${size} ranks`, {
    remedy: `use a --batch-size of ${size} or more, or fewer ranks`,
  });
}
