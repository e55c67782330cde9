import { mkdir, rm, stat, statfs } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { UNFINISHED, writeFileAtomically } from '../base/atomic.js';
import { formatBytes, type TransferConsole } from '../base/console.js';
import { explainSystemError, explainWriteError, isMissing, UserError } from '../base/errors.js';
import { makeFolders } from '../base/folders.js';
import { listOf } from '../base/list-of.js';
import { FileLock } from '../base/lock.js';
import { PROGRAM } from '../base/program.js';
import { readText, tryJson } from '../base/text.js';
import type { DataSet, OriginFile } from '../contract/data-sets.js';
import { downloadFile, partPath, wrongChecksum } from '../fetch/download.js';
import { extractArchive, isArchive, moveInto } from '../fetch/extract.js';
import { askPlugin, howToGet } from './open.js';

export interface DataDownload {
  dataSet: DataSet;
  /** Into which everything is written, and nothing outside it. */
  folder: string;
  /** An address whose folder has the files, in place of the one that the data set names. */
  mirror?: string | undefined;
  keepArchives: boolean;
  console: TransferConsole;
  signal: AbortSignal;
}

export type DownloadSummary = Awaited<ReturnType<typeof downloadDataSet>>;

/** Most entries of an archive: twice the largest data set that is known. */
const MAX_ENTRIES = 30e6;
/** There while a process fetches into a folder: what arrives is appended to one file. */
const LOCK = `.${PROGRAM}-download.lock`;

/** The file in which a folder remembers what was fetched into it, so that nothing is fetched twice. */
const RECORD = `.${PROGRAM}-download.json`;
const FORMAT = `${PROGRAM}-download-1` as const;
/** Most bytes of it: an archive may have many names at its top. */
const MAX_RECORD_BYTES = 2 ** 26;

const fetchedSchema = z.object({
  url: z.string(),
  bytes: z.number(),
  checksum: z.string().nullable(),
  /** What came out of it, at the top of the folder; null where it was not an archive. */
  unpacked: listOf(z.string()).nullable(),
});
const recordSchema = z.object({ format: z.literal(FORMAT), files: z.record(z.string(), fetchedSchema) });

type Fetched = z.infer<typeof fetchedSchema>;

/**
 * Fetches the files of a data set, checks and unpacks them. What is there already is not fetched again; what was begun is
 * gone on with. One process at a time fetches into a folder.
 * @returns what was done with each file; `argument`: what opens the data set, null where it is not recognised
 * @throws UserError if a file cannot be had, is damaged or does not fit the disk, or another process fetches into the folder
 * @throws the signal's reason when it aborts; what has arrived stays
 */
export async function downloadDataSet(task: DataDownload) {
  const { dataSet, folder, console } = task;
  const files = remoteFiles(task);
  const facts = { dataSet: dataSet.name, folder };
  const existing = await locate(dataSet, folder);
  if (existing !== null && !(await wasBegun(files, folder))) {
    const there = files.map((file) => ({ ...file, outcome: 'already there' as const, unpacked: [] }));
    return { ...facts, files: there, argument: existing };
  }
  if (dataSet.origin?.terms) console.line(`terms      ${dataSet.origin.terms}`);
  await makeFolders(folder).catch((error: unknown) => {
    throw explainSystemError(error, folder);
  });
  const lock = new FileLock(join(folder, LOCK), { thing: folder, doing: 'fetching into it' });
  await lock.acquire();
  const obtained = [];
  try {
    for (const file of files) obtained.push(await obtain(file, task));
  } finally {
    await lock.release();
  }
  return { ...facts, files: obtained, argument: await locate(dataSet, folder) };
}

type NamedFile = OriginFile & { name: string };

/** @throws UserError with the page and terms where there is nothing that could be fetched */
function remoteFiles({ dataSet, folder, mirror }: DataDownload): NamedFile[] {
  const { origin } = dataSet;
  if (!origin || origin.files.length === 0) {
    throw new UserError(`the data set ${dataSet.name} cannot be fetched`, {
      expected: 'a data set with a public address; `data` lists them',
      remedy: howToGet(dataSet, folder) ?? 'nothing has to be fetched for it',
    });
  }
  return origin.files.map((file) => {
    const name = basename(decodeURIComponent(new URL(file.url).pathname));
    return { ...file, name, url: mirror === undefined ? file.url : atMirror(mirror, name) };
  });
}

function atMirror(mirror: string, name: string): string {
  const folder = mirror.endsWith('/') ? mirror : `${mirror}/`;
  if (URL.canParse(folder) && /^https?:$/.test(new URL(folder).protocol)) {
    return new URL(encodeURIComponent(name), folder).href;
  }
  throw new UserError(`--mirror cannot be '${mirror}'`, { expected: 'the address of a folder: https://host/folder/' });
}

async function locate({ locate: find }: DataSet, folder: string): Promise<string | null> {
  if (!find || (await sizeOf(folder)) === null) return null;
  return askPlugin(() => find(folder));
}

/** Whether an earlier call has left something to go on with. */
async function wasBegun(files: readonly NamedFile[], folder: string): Promise<boolean> {
  const { files: fetched } = await readDownloadRecord(folder);
  for (const { name } of files) {
    const path = join(folder, name);
    if (fetched[name] || (await sizeOf(path)) !== null || (await sizeOf(partPath(path))) !== null) return true;
  }
  return false;
}

/** Brings one file into the folder, unpacked if it is an archive. */
async function obtain(file: NamedFile, task: DataDownload) {
  const { folder, console, keepArchives } = task;
  const { name, url, checksum } = file;
  const record = await readDownloadRecord(folder);
  const before = record.files[name];
  if (before && before.checksum === (checksum?.hex ?? null) && (await isStillThere(folder, name, before))) {
    console.line(`${name}: already there`);
    return { name, url, outcome: 'already there' as const, unpacked: before.unpacked ?? [] };
  }
  const path = join(folder, name);
  const isNew = await bring(file, path, task);
  const fetched: Fetched = {
    url,
    bytes: (await sizeOf(path)) ?? 0,
    checksum: checksum?.hex ?? null,
    unpacked: isArchive(name) ? await unpack(path, task) : null,
  };
  const files = { ...record.files, [name]: fetched };
  await writeFileAtomically(join(folder, RECORD), `${JSON.stringify({ ...record, files }, null, 2)}\n`);
  if (fetched.unpacked && !keepArchives) await rm(path, { force: true });
  const outcome = isNew ? ('downloaded' as const) : ('already there' as const);
  return { name, url, outcome, unpacked: fetched.unpacked ?? [] };
}

/** Downloads a file that is not there. Gives false where it is. */
async function bring(file: NamedFile, path: string, { console, signal, folder }: DataDownload): Promise<boolean> {
  const size = await sizeOf(path);
  if (size !== null) {
    const isOther = file.bytes !== undefined && file.bytes !== size;
    const wrong = isOther ? `it has ${size} bytes, not ${file.bytes}` : await wrongChecksum(file, path, signal);
    if (!wrong) return false;
    const problem = `${path} is there, but damaged or another file: ${wrong}`;
    throw new UserError(problem, { remedy: 'remove it and try again' });
  }
  const begun = (await sizeOf(partPath(path))) ?? 0;
  await requireSpace(folder, (file.bytes ?? 0) - begun, file.name);
  const from = begun > 0 ? `, going on after ${formatBytes(begun)}` : '';
  console.line(`fetching   ${file.url}${file.bytes === undefined ? '' : ` (${formatBytes(file.bytes)})`}${from}`);
  const progress = console.transfer(file.name, 'bytes');
  const onRetry = (reason: string, seconds: number) =>
    console.line(`           ${reason}; trying again${seconds > 0 ? ` in ${seconds} s` : ''}`);
  await downloadFile(file, path, { signal, onProgress: progress.update, onRetry }).finally(progress.stop);
  const { checksum } = file;
  if (checksum) console.line(`checked    ${checksum.algorithm === 'md5' ? 'MD5' : 'SHA-256'} ${checksum.hex}`);
  return true;
}

/** Unpacks an archive beside, then moves what came out into the folder. */
async function unpack(archive: string, { folder, console, signal }: DataDownload): Promise<string[]> {
  const staging = archive + UNFINISHED;
  const remove = () => rm(staging, { recursive: true, force: true, maxRetries: 5 });
  await remove();
  console.line(`unpacking  ${basename(archive)}`);
  const progress = console.transfer(basename(archive), 'bytes');
  try {
    await mkdir(staging);
    await extractArchive(archive, staging, {
      limits: { bytes: await freeBytes(folder), entries: MAX_ENTRIES },
      onProgress: (bytes) => progress.update(bytes, null),
      signal,
    });
    return await moveInto(staging, folder);
  } catch (error) {
    throw explainWriteError(error, folder);
  } finally {
    progress.stop();
    await remove();
  }
}

async function requireSpace(folder: string, bytes: number, name: string): Promise<void> {
  const free = await freeBytes(folder);
  if (bytes <= free) return;
  const sizes = `it needs ${formatBytes(bytes)}, ${formatBytes(free)} are free`;
  throw new UserError(`${name} does not fit the disk of ${folder}: ${sizes}`, {
    remedy: 'free some space or choose another folder; unpacking needs about as much again',
  });
}

async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

/** @throws UserError if the record is damaged */
export async function readDownloadRecord(folder: string): Promise<z.infer<typeof recordSchema>> {
  const path = join(folder, RECORD);
  const text = await readText(path, MAX_RECORD_BYTES).catch((error: unknown) => {
    if (isMissing(error)) return JSON.stringify({ format: FORMAT, files: {} });
    throw error;
  });
  const { data } = recordSchema.safeParse(tryJson(text));
  if (data) return data;
  throw new UserError(`${path} is damaged`, {
    expected: 'the record of what was fetched into this folder',
    remedy: 'remove it; what is there is then checked or fetched again',
  });
}

/** Whether what was fetched is still in its folder. */
export async function isStillThere(folder: string, name: string, { unpacked, bytes }: Fetched): Promise<boolean> {
  if (unpacked === null) return (await sizeOf(join(folder, name))) === bytes;
  const sizes = await Promise.all(unpacked.map((part) => sizeOf(join(folder, part))));
  return sizes.every((size) => size !== null);
}

/** Size of a file or folder in bytes; null where there is none. */
async function sizeOf(path: string): Promise<number | null> {
  return (await stat(path).catch(() => null))?.size ?? null;
}
