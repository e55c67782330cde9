import { createConsole, quote } from '../core/base/console.js';
import { UserError } from '../core/base/errors.js';
import { checkOutputFile } from '../core/base/folders.js';
import { OPTIONS } from '../core/config/schema.js';
import { type OpenedDataSet, openDataSet, requireDataSet, splitName } from '../core/data/data-set.js';
import { type DownloadSummary, downloadDataSet } from '../core/data/download.js';
import { classExamples, imageExamples } from '../core/data/examples.js';
import { type DataInfo, describeDataSet } from '../core/data/info.js';
import type { DataSet } from '../core/plugin.js';
import { dataInfoLines, writeContactSheet } from '../core/report/data-info.js';
import { listenForStop, signalExitCode } from '../core/run/interrupt.js';
import type { DownloadOptions, InfoOptions } from './options/data.js';

const PIXEL_LIMIT = OPTIONS.maxMegapixels.default * 1e6;
/** Some image cannot be read, or a file is damaged: something that the user can mend. */
const UNREADABLE_EXIT = 2;

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
  if (json) {
    process.stdout.write(`${JSON.stringify(rows)}\n`);
    return;
  }
  const width = Math.max(...rows.map(({ name }) => name.length)) + 2;
  const lines = rows.flatMap(({ name, summary, page, terms, files }) => {
    const how =
      files.length > 0 ? `to be fetched with: npx ijepa data download ${name} DIR` : page && 'to be had from its page';
    const from = [how, page, terms].filter(Boolean).join('; ');
    return [name.padEnd(width) + summary, ...(from ? [''.padEnd(width) + from] : [])];
  });
  process.stdout.write(`${lines.join('\n')}\n`);
}

/**
 * Counts and checks a data set, whose name may be followed by a colon and where it lies, as for pretrain; gives the exit code.
 */
export async function runDataInfo(
  { name: word, dir, json, sheet, force, checkAll }: InfoOptions,
  dataSets: readonly DataSet[],
): Promise<number> {
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
export async function runDataDownload(
  { name, dir: folder, mirror, keepArchives, json }: DownloadOptions,
  dataSets: readonly DataSet[],
): Promise<number> {
  const console = createConsole(json);
  const dataSet = requireDataSet(name, dataSets);
  const goOn = `npx ijepa data download ${name} ${quote(folder)}${mirror === null ? '' : ` --mirror ${quote(mirror)}`}`;
  return stoppable(
    async (signal) => {
      const summary = await downloadDataSet({
        dataSet,
        folder,
        mirror: mirror ?? undefined,
        keepArchives,
        console,
        signal,
      });
      tell(console.line, dataSet, summary);
      if (json) process.stdout.write(`${JSON.stringify(summary)}\n`);
      return 0;
    },
    () => console.line(`stopped; what has arrived is kept, go on with: ${goOn}`),
  );
}

function tell(line: (text: string) => void, dataSet: DataSet, { folder, files, argument }: DownloadSummary): void {
  const isNew = files.some(({ outcome }) => outcome === 'downloaded');
  line(`done       ${dataSet.name} ${isNew ? 'is now' : 'is already'} in ${folder}`);
  if (argument === null && dataSet.locate) {
    throw new UserError(`everything was fetched, but ${dataSet.name} is not recognised in ${folder}`, {
      expected: dataSet.summary,
      remedy: 'the files at that address may have changed, or something was removed: fetch into an empty folder',
    });
  }
  line(`look at it with: npx ijepa data info ${dataSet.name} ${quote(folder)}`);
}

async function drawSheet(path: string, { labelled, images }: OpenedDataSet, info: DataInfo): Promise<void> {
  const rows = labelled
    ? await classExamples(labelled, PIXEL_LIMIT)
    : images
      ? await imageExamples(images, PIXEL_LIMIT)
      : [];
  const total = info.splits.map(({ split, images: count }) =>
    split === 'all' ? `${count} images` : `${count} ${split}`,
  );
  const shown = info.classes === null || rows.length === info.classes ? '' : `, ${rows.length} of them shown`;
  const classes = info.classes === null ? '' : `${info.classes} classes${shown}; `;
  const examples = labelled ? '; examples from train' : '';
  await writeContactSheet(
    path,
    `${info.name}: ${info.summary}`,
    `${classes}images: ${total.join(', ')}${examples}`,
    rows,
  );
}

/** Runs work that a signal stops, and gives the exit code: that of the work, or of the signal. */
export async function stoppable(work: (signal: AbortSignal) => Promise<number>, onStop?: () => void): Promise<number> {
  const aborter = new AbortController();
  const stop = listenForStop(() => aborter.abort());
  try {
    return await work(aborter.signal);
  } catch (error) {
    if (!stop.received || !aborter.signal.aborted || error instanceof UserError) throw error;
    onStop?.();
    return signalExitCode(stop.received);
  } finally {
    stop.release();
  }
}
