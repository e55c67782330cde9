import { basename, join } from 'node:path';
import { PluginError } from '../../core/plugin.js';
import { isFile, readBytes } from '../shared/files.js';

/** The published forms: fixed records, or Python pickles. */
export type FormName = 'binary' | 'python';

/** A form, and where it lies: a folder with its files, or the archive that holds them. */
export interface Form {
  name: FormName;
  place: string;
  isArchive: boolean;
}

/** Files of training, test and class names, by form. */
export const FILES = {
  binary: { train: 'train.bin', test: 'test.bin', classes: 'fine_label_names.txt' },
  python: { train: 'train', test: 'test', classes: 'meta' },
} as const;

/** Larger than any file of the data set, so that a false archive cannot fill the memory. */
const LARGEST_FILE = 256 * 2 ** 20;

/** The form that lies in a folder or right below it, unpacked ones first; looks at names only. */
export async function findForm(folder: string): Promise<Form | null> {
  for (const name of ['binary', 'python'] as const) {
    for (const place of [join(folder, `cifar-100-${name}`), folder]) {
      const files = Object.values(FILES[name]).map((file) => isFile(join(place, file)));
      const found = (await Promise.all(files)).filter(Boolean).length;
      // A folder of that name is meant to be the data set, whole or not; elsewhere two of its files are a sign.
      if (found >= 2 || (found === 1 && place !== folder)) return { name, place, isArchive: false };
    }
  }
  for (const name of ['binary', 'python'] as const) {
    const place = join(folder, `cifar-100-${name}.tar.gz`);
    if (await isFile(place)) return { name, place, isArchive: true };
  }
  return null;
}

/**
 * Reads files of the data set whole, out of the archive without unpacking it to disk.
 * @returns their contents, in the order of `names`
 * @throws PluginError if one is missing, or the archive is damaged
 */
export async function readFiles({ place, isArchive }: Form, names: readonly string[]): Promise<Buffer[]> {
  if (!isArchive) return Promise.all(names.map((name) => readOne(join(place, name))));
  const found = await readArchive(place, names);
  return names.map((name) => {
    const bytes = found.get(name);
    if (bytes !== undefined) return bytes;
    throw new PluginError(`${place} holds no file ${name}`, {
      expected: `${names.join(', ')} in it`,
      remedy: 'fetch the archive anew',
    });
  });
}

async function readOne(path: string): Promise<Buffer> {
  if (!(await isFile(path))) {
    throw new PluginError(`${path} is missing`, {
      expected: 'all files of the data set as they were unpacked',
      remedy: 'unpack the archive again',
    });
  }
  return readBytes(path);
}

async function readArchive(archive: string, names: readonly string[]): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer[]>();
  let problem: string | undefined;
  try {
    const tar = await import('tar'); // loaded where an archive is read
    await tar.list({
      file: archive,
      strict: true,
      onReadEntry: (entry) => {
        const name = basename(entry.path);
        if (entry.type !== 'File' || !names.includes(name) || found.has(name)) return;
        if (entry.size > LARGEST_FILE) {
          problem = `${name} in it has ${entry.size} bytes`;
          return;
        }
        const parts: Buffer[] = []; // room is made for what comes, not for what is claimed
        let bytes = 0;
        found.set(name, parts);
        entry.on('data', (part) => {
          bytes += part.length;
          parts.push(part);
        });
        entry.on('end', () => {
          if (bytes < entry.size) problem = `${name} in it ends after ${bytes} of ${entry.size} bytes`;
        });
      },
    });
  } catch (error) {
    problem = error instanceof Error ? error.message : String(error);
  }
  if (problem === undefined) return new Map([...found].map(([name, parts]) => [name, Buffer.concat(parts)]));
  throw new PluginError(`${archive} is damaged: ${problem}`, {
    expected: 'the whole archive as it was published',
    remedy: 'fetch it anew',
  });
}
