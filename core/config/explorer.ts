import { homedir } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { PublicExplorer } from 'cosmiconfig';
import { PROGRAM } from '../base/program.js';

/** Extensions for which cosmiconfig is given the loader; it takes 'noExt' for none and 'default' for others. */
const ALL = ['.json', '.yaml', '.yml', '.js', '.mjs', '.cjs', '.ts', 'noExt', 'default'];
/** A folder in which no file of cosmiconfig's own settings lies. */
const OWN_FOLDER = fileURLToPath(new URL('.', import.meta.url));

/**
 * cosmiconfig, which looks for one of `searchPlaces` in the current folder and for nothing else.
 *
 * It asks for the home folder as soon as it is imported, and there may be none; and it reads settings of its own from the
 * current folder when it is made, where the files of other projects may be damaged or do anything.
 */
export async function explorerOf(
  searchPlaces: string[],
  load: (path: string) => Promise<unknown>,
): Promise<PublicExplorer> {
  const { cosmiconfig } = await withHome(() => import('cosmiconfig'));
  const loaders = Object.fromEntries(ALL.map((extension) => [extension, load]));
  const here = process.cwd();
  process.chdir(OWN_FOLDER);
  try {
    return cosmiconfig(PROGRAM, { searchPlaces, loaders, cache: false });
  } finally {
    process.chdir(here);
  }
}

async function withHome<T>(run: () => Promise<T>): Promise<T> {
  if (hasHome()) return run();
  process.env.HOME = OWN_FOLDER;
  return run().finally(() => delete process.env.HOME);
}

function hasHome(): boolean {
  try {
    return homedir() !== '';
  } catch {
    return false; // no HOME, and a user whom the system does not know
  }
}
