import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { textOf } from '../base/text.js';
import { isModulePath } from '../config/file.js';

/**
 * The file of a plugin: a module's path, or the entry of a package as seen from a folder.
 * @throws Error if there is none
 */
export function placeOf(name: string, folder: string): string {
  const { resolve: find } = createRequire(join(folder, 'index.js'));
  if (isModulePath(name)) return find(resolve(folder, name));
  try {
    return find(name);
  } catch (error) {
    const entry = moduleEntry(name, find.paths(name) ?? []);
    if (entry === undefined) throw error;
    return entry;
  }
}

const exportsOfPackage = z.object({ exports: z.unknown() });

/** The entry of a package that can only be imported, which `require.resolve` does not find. */
function moduleEntry(name: string, folders: readonly string[]): string | undefined {
  for (const folder of folders) {
    try {
      const text = textOf(readFileSync(join(folder, name, 'package.json')), name);
      const entry = entryOf(exportsOfPackage.parse(JSON.parse(text)).exports);
      return entry === undefined ? undefined : join(folder, name, entry);
    } catch {
      // not in this folder
    }
  }
  return undefined;
}

/** What `exports` of a package.json gives to `import`. */
function entryOf(exports: unknown): string | undefined {
  if (typeof exports === 'string') return exports;
  if (exports === null || typeof exports !== 'object') return undefined;
  for (const [condition, value] of Object.entries(exports)) {
    if (['.', 'import', 'node', 'default'].includes(condition)) return entryOf(value);
  }
  return undefined;
}
