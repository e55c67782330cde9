import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { nameFromBytes, systemPath } from '../../base/file-names.js';
import { statNow } from './in-turns.js';
import { isImage, passedOver, setAside } from './kinds.js';
import { LeftOut, type LeftOutGroup } from './left-out.js';

/** Which files are wanted of a folder. */
export interface Wanted {
  wants(name: string): boolean;
  /** What a file is called that is not wanted but may be missed, and why it is not taken; undefined for others. */
  passedOver(name: string): { noun: string; reason: string } | undefined;
}

/** What lies in a folder. Links count as what they lead to. */
export interface FolderContent {
  /** The folders in it, in the order of their names. */
  folders: string[];
  /** The files in it that are wanted, in the order of their names. */
  files: string[];
  /** What may hold pictures and is not taken. */
  leftOut: readonly LeftOutGroup[];
  /** Whether some link leads nowhere: it may lead somewhere later, and the folder will not have changed. */
  hasBrokenLinks: boolean;
}

const IMAGES: Wanted = { wants: isImage, passedOver };

/**
 * Looks into a folder: for images, if nothing else is said.
 * @throws Error of the system if it cannot be read
 */
export async function lookInto(folder: string, wanted: Wanted = IMAGES): Promise<FolderContent> {
  const folders: string[] = [];
  const files: string[] = [];
  const leftOut = new LeftOut();
  let hasBrokenLinks = false;
  for (const { name, entry } of await entriesOf(folder)) {
    const found = entry.isSymbolicLink() ? statNow(join(folder, name)) : entry;
    if (!found) {
      hasBrokenLinks = true;
      leftOut.add('link', 'broken, in a circle or not permitted', name);
    } else if (found.isDirectory()) {
      const reason = setAside(name);
      if (reason === undefined) folders.push(name);
      else leftOut.add('folder', reason, name);
    } else if (!found.isFile()) {
      leftOut.add('special file', 'pipes, sockets and devices are not read', name);
    } else if (!wanted.wants(name)) {
      const why = wanted.passedOver(name);
      if (why && !name.startsWith('.')) leftOut.add(why.noun, why.reason, name);
    } else if (name.startsWith('.')) {
      leftOut.add('file', 'a name that starts with a dot', name);
    } else {
      files.push(name);
    }
  }
  return { folders, files, leftOut: leftOut.groups, hasBrokenLinks };
}

/** The entries of a folder, in the order of their names; names that are not UTF-8 are asked for as bytes, which takes longer. */
async function entriesOf(folder: string): Promise<{ name: string; entry: Dirent<string> | Dirent<Buffer> }[]> {
  const path = systemPath(folder);
  const entries = await readdir(path, { withFileTypes: true }).catch(() => null);
  if (entries?.every(({ name }) => !name.includes('\ufffd')))
    return sorted(entries.map((entry) => ({ name: entry.name, entry })));
  const raw = await readdir(path, { withFileTypes: true, encoding: 'buffer' });
  return sorted(raw.map((entry) => ({ name: nameFromBytes(entry.name), entry })));
}

function sorted<T extends { name: string }>(entries: T[]): T[] {
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1)); // of code units: the same in every locale
}
