import { count, createConsole, formatBytes, quote } from '../core/base/console.js';
import { UserError } from '../core/base/errors.js';
import { checkOutputFile, checkOutside } from '../core/base/folders.js';
import { OPTIONS } from '../core/config/schema.js';
import { downloadDataSet } from '../core/data/download.js';
import { classExamples, type DataInfo, describeDataSet, imageExamples } from '../core/data/info.js';
import {
  findDataSet,
  type OpenedDataSet,
  openData,
  openDataSet,
  requireDataSet,
  splitName,
} from '../core/data/open.js';
import { areShards, findShards } from '../core/data/shards/find.js';
import { openShards } from '../core/data/shards/open.js';
import { type PackSummary, type PackTask, packShards } from '../core/data/shards/pack.js';
import type { DataSet } from '../core/plugin.js';
import { dataInfoLines, writeContactSheet } from '../core/report/data-info.js';
import { listenForStop, signalExitCode } from '../core/run/interrupt.js';
import type { DownloadOptions, InfoOptions, PackOptions } from './options/others.js';

const PIXEL_LIMIT = OPTIONS.maxMegapixels.default * 1e6;
/** Some image cannot be read, or a file is damaged: something that the user can mend. */
const UNREADABLE_EXIT = 2;
const DEFAULT_QUALITY = 95;
const DEFAULT_SHARD_MEGABYTES = 256;
/** Unreadable images that are named. */
const SHOWN = 5;

/** Prints the data sets and where they are to be had. */
export function listDataSets(json: boolean, dataSets: readonly DataSet[]): void {
  const rows = dataSets.map(({ name, summary, argument = null, origin, openLabelled, protocol }) => ({
    name,
    summary,
    argument,
    labelled: openLabelled !== undefined,
    inThePaper: protocol !== undefined,
    page: origin?.page ?? null,
    terms: origin?.terms ?? null,
    files: origin?.files.map(({ url }) => url) ?? [],
  }));
  const width = Math.max(...rows.map(({ name }) => name.length)) + 2;
  const lines = rows.flatMap(({ name, summary, page, terms, files }) => {
    const how =
      files.length > 0 ? `to be fetched with: npx ijepa data download ${name} DIR` : page && 'to be had from its page';
    const from = [how, page, terms].filter(Boolean).join('; ');
    return [name.padEnd(width) + summary, ...(from ? [''.padEnd(width) + from] : [])];
  });
  process.stdout.write(`${json ? JSON.stringify(rows) : lines.join('\n')}\n`);
}

/**
 * Counts and checks a data set, whose name may be followed by a colon and where it lies, as for pretrain; gives the exit code.
 */
export async function runDataInfo(options: InfoOptions, dataSets: readonly DataSet[]): Promise<number> {
  const { name: word, dir, json, sheet, force, checkAll } = options;
  const console = createConsole(json);
  if (sheet !== null) checkOutputFile(sheet, '--sheet', force);
  return stoppable(async (signal) => {
    const [name, argument] = splitName(word);
    const opened = await openDataSet(requireDataSet(name, dataSets), dir ?? argument);
    const info = await describeDataSet(opened, { checkAll, pixelLimit: PIXEL_LIMIT, console, signal });
    for (const line of dataInfoLines(info)) console.line(line);
    if (sheet !== null) {
      await drawSheet(sheet, opened, info);
      console.line(`look at    ${sheet}`);
    }
    if (json) process.stdout.write(`${JSON.stringify({ ...info, sheet })}\n`);
    const isWhole = info.splits.every(({ unreadable }) => unreadable.length === 0) && !info.damaged?.length;
    return isWhole ? 0 : UNREADABLE_EXIT;
  });
}

/** Fetches a data set, and gives the exit code. */
export async function runDataDownload(options: DownloadOptions, dataSets: readonly DataSet[]): Promise<number> {
  const { name, dir: folder, mirror, keepArchives, json } = options;
  const console = createConsole(json);
  const dataSet = requireDataSet(name, dataSets);
  const goOn = `npx ijepa data download ${name} ${quote(folder)}${mirror === null ? '' : ` --mirror ${quote(mirror)}`}`;
  const onStop = () => console.line(`stopped; what has arrived is kept, go on with: ${goOn}`);
  const from = { mirror: mirror ?? undefined, keepArchives };
  return stoppable(async (signal) => {
    const summary = await downloadDataSet({ dataSet, folder, ...from, console, signal });
    const isNew = summary.files.some(({ outcome }) => outcome === 'downloaded');
    console.line(`done       ${name} ${isNew ? 'is now' : 'is already'} in ${summary.folder}`);
    if (summary.argument === null && dataSet.locate) {
      throw new UserError(`everything was fetched, but ${name} is not recognised in ${summary.folder}`, {
        expected: dataSet.summary,
        remedy: 'the files at that address may have changed, or something was removed: fetch into an empty folder',
      });
    }
    console.line(`look at it with: npx ijepa data info ${name} ${quote(summary.folder)}`);
    if (json) process.stdout.write(`${JSON.stringify(summary)}\n`);
    return 0;
  }, onStop);
}

async function drawSheet(path: string, { labelled, images }: OpenedDataSet, info: DataInfo): Promise<void> {
  const ofImages = images ? await imageExamples(images, PIXEL_LIMIT) : [];
  const rows = labelled ? await classExamples(labelled, PIXEL_LIMIT) : ofImages;
  const total = info.splits.map(({ split, images: count }) => `${count} ${split === 'all' ? 'images' : split}`);
  const shown = info.classes === null || rows.length === info.classes ? '' : `, ${rows.length} of them shown`;
  const classes = info.classes === null ? '' : `${info.classes} classes${shown}; `;
  const examples = labelled ? '; examples from train' : '';
  const subtitle = `${classes}images: ${total.join(', ')}${examples}`;
  await writeContactSheet(path, `${info.name}: ${info.summary}`, subtitle, rows);
}

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
    tellPacked(console.line, summary);
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
  const shardBytes = imagesPerShard === null ? (shardMegabytes ?? DEFAULT_SHARD_MEGABYTES) * 1e6 : null;
  return { resize, quality: quality ?? DEFAULT_QUALITY, imagesPerShard, shardBytes, pixelLimit: PIXEL_LIMIT };
}

type Packable = Pick<PackTask, 'train' | 'val' | 'classes'> & { notes: readonly string[] | undefined };

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
    const takesShards = dataSets.some(({ name }) => name === 'webdataset');
    if (train.hasTexts && takesShards) return openForPacking([`webdataset:${word}`], dataSets); // texts become numbers
    return { train, val, classes: found.classes, notes: [...(train.notes ?? []), ...(val?.notes ?? [])] };
  }
  const images = await openData(data, dataSets);
  return { train: images, val: null, classes: null, notes: images.notes };
}

function tellPacked(line: (text: string) => void, { folder, splits, skipped }: PackSummary): void {
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

/** Runs work that a signal stops, and gives the exit code: that of the work, or of the signal. */
async function stoppable(work: (signal: AbortSignal) => Promise<number>, onStop?: () => void): Promise<number> {
  const stop = listenForStop(() => {});
  try {
    return await work(stop.aborted);
  } catch (error) {
    if (!stop.received || error instanceof UserError) throw error;
    onStop?.();
    return signalExitCode(stop.received);
  } finally {
    stop.release();
  }
}
