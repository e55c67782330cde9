import { existsSync } from 'node:fs';
import { copyFile, cp, mkdir, readdir, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { explainSystemError, UserError } from '../../base/errors.js';
import { extractArchive } from '../../fetch/extract.js';
import { networkReason } from '../../fetch/request.js';

/*
 * Finds TensorFlow's C library in a package index, and brings it into the form in which the addon is built against it:
 * `include/tensorflow/c/...` and `lib/libtensorflow.so`, `lib/libtensorflow_framework.so`.
 */

/** What is taken out of a wheel: two libraries, and the headers of the C interface with those that they include. */
const IN_WHEEL =
  /^tensorflow\/(?:libtensorflow_(?:cc|framework)\.so\.2|include\/(?:tensorflow\/(?:c|tsl|core\/platform)|tsl)\/.*[^/])$/;

/**
 * Takes libraries and headers from a libtensorflow folder, which stays as it is, from an archive of one (.tar.gz), or from a
 * wheel.
 */
export async function takeLibrary(source: string, folder: string): Promise<void> {
  const found = await stat(source).catch((error: unknown) => {
    throw explainSystemError(error, source);
  });
  if (found.isDirectory()) return arrange(join(source, 'lib'), source, folder);
  const unpacked = join(folder, 'unpacked');
  await mkdir(unpacked, { recursive: true });
  if (!source.endsWith('.whl')) {
    await extractArchive(source, unpacked, { what: 'a libtensorflow archive (.tar.gz)' });
    return arrange(join(unpacked, 'lib'), unpacked, folder);
  }
  await extractArchive(source, unpacked, { selects: (name) => IN_WHEEL.test(name), what: 'a wheel' });
  const root = join(unpacked, 'tensorflow');
  return arrange(root, root, folder);
}

/**
 * Copies the libraries of a folder, and the folder `include` in another one, to where the addon looks for them.
 * @throws UserError if one of them is missing
 */
async function arrange(libraries: string, headers: string, folder: string): Promise<void> {
  const include = join(headers, 'include');
  const names = await readdir(libraries).catch(() => []);
  const library = newest(names, /^libtensorflow(?:_cc)?\.so[.\d]*$/);
  const framework = newest(names, /^libtensorflow_framework\.so[.\d]*$/);
  const missing =
    (!library && 'libtensorflow') ||
    (!framework && 'libtensorflow_framework') ||
    (!existsSync(join(include, 'tensorflow', 'c', 'c_api.h')) && 'the header tensorflow/c/c_api.h');
  if (!library || !framework || missing) {
    throw new UserError(`${missing} is not in ${libraries} or ${include}`, {
      expected: 'TensorFlow 2 for this machine: lib/libtensorflow.so, lib/libtensorflow_framework.so and include/',
    });
  }
  const target = join(folder, 'deps', 'lib');
  await mkdir(target, { recursive: true });
  for (const file of [library, framework]) {
    // The name in the library itself is the one with the major version; the linker looks for the one without.
    const versioned = file.replace(/\.so.*$/, '.so.2');
    await copyFile(join(libraries, file), join(target, versioned));
    await symlink(versioned, join(target, file.replace(/(?:_cc)?\.so.*$/, '.so')));
  }
  await cp(include, join(folder, 'deps', 'include'), { recursive: true });
}

/** The longest name that fits: the file itself, where the others are links to it. */
function newest(names: readonly string[], pattern: RegExp): string | undefined {
  const fitting = names.filter((name) => pattern.test(name));
  return fitting.sort((a, b) => a.length - b.length).at(-1);
}

/** The wheel whose libraries the addon is built against; newer ones are larger and bring nothing that it uses. */
const PROJECT = 'tensorflow-cpu';
const VERSION = '2.15.1';
const PLATFORM = /manylinux.*x86_64\.whl$/;
const DEFAULT_INDEX = 'https://pypi.org/simple';

/** A file of an index (PEP 691). */
const wheelSchema = z.object({
  filename: z.string(),
  url: z.string(),
  hashes: z.object({ sha256: z.string() }),
  size: z.number().nullish(),
});
export type Wheel = z.infer<typeof wheelSchema>;

/**
 * Finds TensorFlow's wheel in a package index.
 * @param index the address of its simple interface
 * @throws UserError if the index cannot be reached or does not have it
 */
export async function findWheel(index = DEFAULT_INDEX): Promise<Wheel> {
  const address = `${index.replace(/\/$/, '')}/${PROJECT}/`;
  const headers = { accept: 'application/vnd.pypi.simple.v1+json' };
  const response = await fetch(address, { headers }).catch((error: unknown) => {
    throw new UserError(`${address} cannot be reached: ${networkReason(error)}`, {
      remedy: 'check the network, name another index with --index, or a libtensorflow folder or archive with --from',
    });
  });
  if (!response.ok) {
    throw new UserError(`${address} answers ${response.status} ${response.statusText}`, {
      remedy: 'name another index with --index',
    });
  }
  const listed = z.object({ files: z.array(wheelSchema) }).safeParse(await response.json().catch(() => null));
  if (!listed.success) {
    throw new UserError(`${address} does not answer as a package index`, {
      expected: 'an index with the JSON interface of PEP 691',
      remedy: 'name another one with --index',
    });
  }
  const wheel = chooseWheel(listed.data.files);
  if (wheel) return { ...wheel, url: new URL(wheel.url, address).href };
  throw new UserError(`${address} has no wheel of ${PROJECT} ${VERSION} for Linux on x86-64`, {
    remedy: 'name another index with --index, or a libtensorflow folder or archive with --from',
  });
}

/** The wheel of the version and platform; the libraries are the same for every version of Python. */
export function chooseWheel(files: readonly Wheel[]): Wheel | undefined {
  const start = `${PROJECT.replaceAll('-', '_')}-${VERSION}-`;
  const fitting = files.filter(({ filename }) => filename.startsWith(start) && PLATFORM.test(filename));
  return fitting.sort((a, b) => (a.filename < b.filename ? -1 : 1)).at(-1);
}
