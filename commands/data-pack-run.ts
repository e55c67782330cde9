import { count, createConsole, formatBytes, quote } from '../core/base/console.js';
import { UserError } from '../core/base/errors.js';
import { checkOutside } from '../core/base/folders.js';
import { OPTIONS } from '../core/config/schema.js';
import { findDataSet, openData, openDataSet, splitName } from '../core/data/open.js';
import { areShards, findShards } from '../core/data/shards/find.js';
import { openShards } from '../core/data/shards/open.js';
import { type PackSummary, packShards } from '../core/data/shards/pack.js';
import type { DataSet, ImageCollection, LabelledImages } from '../core/plugin.js';
import { stoppable } from './data-run.js';
import type { PackOptions } from './options/data.js';

const PIXEL_LIMIT = OPTIONS.maxMegapixels.default * 1e6;
const DEFAULT_QUALITY = 95;
const DEFAULT_SHARD_MEGABYTES = 256;
/** The data set that takes any shards. */
const SHARDS = 'webdataset';
/** Unreadable images that are named. */
const SHOWN = 5;

/** Packs images into shards, and gives the exit code. */
export async function runDataPack(options: PackOptions, dataSets: readonly DataSet[]): Promise<number> {
  const { data, out, json } = options;
  const settings = settingsOf(options);
  const names = dataSets.map(({ name }) => name);
  checkOutside(out, data, names, 'the folder for shards');
  const console = createConsole(json);
  const onStop = () => console.line('stopped; whole shards are kept, go on with the same command');
  return stoppable(async (signal) => {
    const { notes = [], ...images } = await openForPacking(data, dataSets);
    for (const note of notes) console.line(`note       ${note}`);
    const summary = await packShards({ ...settings, ...images, folder: out, console, signal });
    tell(console.line, summary);
    if (json) process.stdout.write(`${JSON.stringify({ ...summary, notes })}\n`);
    return 0;
  }, onStop);
}

function settingsOf({ resize, quality, imagesPerShard, shardMegabytes }: PackOptions) {
  if (quality !== null && resize === null) {
    throw new UserError('--quality says nothing without --resize', {
      expected: 'both, or neither: images that are not made smaller keep their bytes',
    });
  }
  if (imagesPerShard !== null && shardMegabytes !== null) {
    throw new UserError('--images-per-shard and --shard-megabytes contradict one another', { expected: 'one of them' });
  }
  const isCounted = imagesPerShard !== null;
  return {
    resize,
    quality: quality ?? DEFAULT_QUALITY,
    imagesPerShard,
    shardBytes: isCounted ? null : (shardMegabytes ?? DEFAULT_SHARD_MEGABYTES) * 1e6,
    pixelLimit: PIXEL_LIMIT,
  };
}

interface Packable {
  train: ImageCollection | LabelledImages;
  val: LabelledImages | null;
  classes: readonly string[] | null;
  notes: readonly string[] | undefined;
}

/** Both parts of a data set with its classes, or images without any. */
async function openForPacking(data: readonly string[], dataSets: readonly DataSet[]): Promise<Packable> {
  const [word = ''] = data;
  const dataSet = findDataSet(word, dataSets);
  if (dataSet?.openLabelled && data.length === 1) {
    const { labelled, images } = await openDataSet(dataSet, splitName(word)[1]);
    if (labelled) {
      const { train, test, classes, notes } = labelled;
      return { train, val: test.length > 0 ? test : null, classes, notes };
    }
    if (images) return { train: images, val: null, classes: null, notes: images.notes };
  }
  if (!dataSet && data.length === 1 && (await areShards(word))) {
    const found = await findShards(word);
    const [first, second] = found.train.length > 0 ? [found.train, found.test] : [found.test, []];
    const val = second.length > 0 ? await openShards(second, word) : null;
    const train = await openShards(first, word, {}, found.notes);
    const shards = dataSets.find(({ name }) => name === SHARDS);
    if (train.hasTexts && shards) return openForPacking([`${shards.name}:${word}`], dataSets); // texts become numbers
    return { train, val, classes: found.classes, notes: [...(train.notes ?? []), ...(val?.notes ?? [])] };
  }
  const images = await openData(data, dataSets);
  return { train: images, val: null, classes: null, notes: images.notes };
}

function tell(line: (text: string) => void, { folder, splits, skipped }: PackSummary): void {
  for (const [name, split] of Object.entries(splits)) {
    if (!split) continue;
    const { images, shards, bytes, kept } = split;
    const before = kept === 0 ? '' : `, ${kept} of them from before`;
    line(`${name.padEnd(11)}${count(images, 'image')} in ${count(shards, 'shard')}, ${formatBytes(bytes)}${before}`);
  }
  if (skipped.length > 0) {
    line(`skipped    ${count(skipped.length, 'unreadable image')}, listed in skipped.txt of the folder`);
    for (const { name, reason } of skipped.slice(0, SHOWN)) line(`           ${name}: ${reason}`);
  }
  line(`check with: npx ijepa data info webdataset ${quote(folder)} --check-all`);
  line(`train with: npx ijepa pretrain ${quote(folder)} --out runs/first`);
}
