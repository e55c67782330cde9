import { join } from 'node:path';
import { z } from 'zod';
import { formatBytes, type TransferConsole } from '../../base/console.js';
import { UserError } from '../../base/errors.js';
import { downloadFile } from '../../fetch/download.js';
import { networkReason } from '../../fetch/request.js';

const DEFAULT_INDEX = 'https://pypi.org/simple';
/** Milliseconds that an index may take to list its files. */
const PATIENCE = 60_000;

/** A wheel that is wanted of a Python package index. */
export interface WantedWheel {
  project: string;
  /** What it is, for people: its name, or 'wheel of ...'. */
  title: string;
  /** Which files of the index would do, by their names; of several the last one in the order of names is taken. */
  fits: (filename: string) => boolean;
  /** SHA-256 in hexadecimal, where it is known beforehand. */
  sha256?: string;
}

/** A file of an index (PEP 691). */
const fileSchema = z.object({
  filename: z.string(),
  url: z.string(),
  hashes: z.object({ sha256: z.string() }),
  size: z.number().nullish(),
});
type IndexedFile = z.infer<typeof fileSchema>;

/**
 * Finds a wheel in a package index and downloads it into a folder.
 * @param index the address of the index's simple interface; undefined: the Python Package Index
 * @returns the path of the wheel, whose checksum is right
 * @throws UserError if the index cannot be reached or does not have it, or it does not arrive as it should be
 */
export async function downloadWheel(
  wanted: WantedWheel,
  index: string | undefined,
  folder: string,
  console: TransferConsole,
): Promise<string> {
  const { filename, url, hashes, size } = await findWheel(wanted, index ?? DEFAULT_INDEX);
  console.line(`downloading ${filename}${size ? ` (${formatBytes(size)})` : ''}`);
  const path = join(folder, filename);
  const progress = console.transfer(wanted.project, 'bytes');
  const onRetry = (reason: string, seconds: number) => console.line(`  ${reason}; trying again in ${seconds} s`);
  const checksum = { algorithm: 'sha256', hex: hashes.sha256 } as const;
  await downloadFile({ url, checksum }, path, { onProgress: progress.update, onRetry })
    .catch((error: unknown) => {
      // What the system says of the disk stays as it is; the advice on data sets would be wrong here.
      if (!(error instanceof UserError) || error.cause !== undefined) throw error;
      throw new UserError(error.message, { remedy: 'try again, or name another index with --index' });
    })
    .finally(progress.stop);
  return path;
}

async function findWheel({ project, title, fits, sha256 }: WantedWheel, index: string): Promise<IndexedFile> {
  const address = `${index.replace(/\/$/, '')}/${project}/`;
  const remedy = 'name another index with --index, or a file or folder with --from';
  const wheel = (await listFiles(address, remedy))
    .filter(({ filename }) => /^[\w.+-]+\.whl$/.test(filename) && fits(filename))
    .sort((a, b) => (a.filename < b.filename ? -1 : 1))
    .at(-1);
  if (!wheel) throw new UserError(`${address} has no ${title}`, { remedy });
  const found = wheel.hashes.sha256;
  if (sha256 !== undefined && found.toLowerCase() !== sha256) {
    throw new UserError(
      `${address} has another ${wheel.filename} than the one that is known: its SHA-256 is ${found}`,
      {
        expected: sha256,
        remedy,
      },
    );
  }
  return { ...wheel, url: new URL(wheel.url, address).href };
}

async function listFiles(address: string, remedy: string): Promise<IndexedFile[]> {
  const headers = { accept: 'application/vnd.pypi.simple.v1+json' };
  const response = await fetch(address, { headers, signal: AbortSignal.timeout(PATIENCE) }).catch((error: unknown) => {
    throw new UserError(`${address} cannot be reached: ${networkReason(error)}`, {
      remedy: `check the network, ${remedy}`,
    });
  });
  if (!response.ok) throw new UserError(`${address} answers ${response.status} ${response.statusText}`, { remedy });
  const listed = z.object({ files: z.array(fileSchema) }).safeParse(await response.json().catch(() => null));
  if (listed.success) return listed.data.files;
  throw new UserError(`${address} does not answer as a package index`, {
    expected: 'an index with the JSON interface of PEP 691',
    remedy: 'name another one with --index',
  });
}
