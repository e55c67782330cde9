import { existsSync } from 'node:fs';
import { copyFile, cp, mkdir, readdir, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { explainSystemError, UserError } from '../../base/errors.js';
import { extractArchive } from '../../fetch/extract.js';
import type { WantedWheel } from './wheel.js';

/*
 * Brings TensorFlow's C library into the form in which the addon is built against it: `include/tensorflow/c/...` and
 * `lib/libtensorflow.so`, `lib/libtensorflow_framework.so`.
 */

/** The wheel whose libraries the addon is built against; newer ones are larger and bring nothing that it uses. */
export const TENSORFLOW_WHEEL: WantedWheel = {
  project: 'tensorflow-cpu',
  title: 'wheel of tensorflow-cpu 2.15.1 for Linux on x86-64',
  // The libraries are the same for every version of Python.
  fits: (filename) => /^tensorflow_cpu-2\.15\.1-.*manylinux.*x86_64\.whl$/.test(filename),
};

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
