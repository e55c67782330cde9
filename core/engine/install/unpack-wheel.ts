import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type Advice, UserError } from '../../base/errors.js';
import { wrongChecksum } from '../../fetch/download.js';
import { extractArchive } from '../../fetch/extract.js';

/** The wheel that a file should be, and what is taken out of it. */
export interface ExpectedWheel {
  project: string;
  version: string;
  /** The platform, as wheels name it; undefined where there is none. */
  tag: string | undefined;
  /** Which of its files are wanted, by their paths in it. */
  selects: (name: string) => boolean;
  /** What is said where it is another one. */
  advice: Advice;
}

/**
 * Takes files out of a wheel of any version of Python, with what describes it, and holds them against their checksums.
 * @param folder is made
 * @throws UserError if it is another wheel, or damaged
 */
export async function unpackWheel(path: string, folder: string, expected: ExpectedWheel): Promise<void> {
  const { selects, advice } = expected;
  if (!path.endsWith('.whl')) throw new UserError(`${path} is neither a wheel (.whl) nor a folder`, advice);
  await mkdir(folder);
  await extractArchive(path, folder, {
    what: 'a whole wheel',
    selects: (name) => selects(name) || /^[^/]+\.dist-info\/.*[^/]$/.test(name),
  });
  const about = (await readdir(folder)).find((name) => name.endsWith('.dist-info')) ?? '';
  const read = (name: string) => readFile(join(folder, about, name), 'utf8').catch(() => '');
  const [metadata, wheel, record] = [await read('METADATA'), await read('WHEEL'), await read('RECORD')];
  const problem = wrongWheel(metadata, wheel, expected);
  if (problem) throw new UserError(`${path} ${problem}`, advice);
  for (const [, name = '', digest = ''] of record.matchAll(/^([^,\n]+),sha256=([\w-]+),/gm)) {
    if (!selects(name) || !existsSync(join(folder, name))) continue;
    const checksum = { algorithm: 'sha256', hex: Buffer.from(digest, 'base64url').toString('hex') } as const;
    const wrong = await wrongChecksum({ url: path, checksum }, join(folder, name));
    if (wrong) throw new UserError(`${path} is damaged: ${basename(name)} is not what it should be: ${wrong}`, advice);
  }
}

/** Says what a wheel is, by its own description, if it is not the one that is expected. */
function wrongWheel(metadata: string, wheel: string, expected: ExpectedWheel): string | null {
  const field = (name: string) => new RegExp(`^${name}: *(.*?)\\s*$`, 'm').exec(metadata)?.[1];
  const [name, version] = [field('Name'), field('Version')];
  const tags = [...wheel.matchAll(/^Tag: *(\S+)/gm)].map(([, tag = '']) => tag);
  if (!name || !version || tags.length === 0) return 'does not say which wheel it is';
  const isForThis = tags.some((tag) => tag.endsWith(`-${expected.tag}`));
  if (name === expected.project && version === expected.version && isForThis) return null;
  return `is the wheel of ${name} ${version} for ${tags.join(', ')}`;
}
