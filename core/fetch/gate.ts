import { printable, UserError } from '../base/errors.js';

/** What is said of an entry before it is written. */
export interface EntryFacts {
  name: string;
  kind: 'file' | 'folder' | 'link' | 'other';
  bytes: number;
  /** Where a link leads, and the folder of the archive from which. */
  link?: { from: string; to: string };
}

export interface Limits {
  bytes: number;
  entries: number;
}

export interface GateOptions {
  /** Which entries are taken, by their names in the archive; all where this is left out. */
  selects?: (name: string) => boolean;
  /** Most bytes and entries; archives that hold more are refused. */
  limits?: Limits;
  /** Is told how many bytes of entries have been begun. */
  onProgress?: (bytes: number) => void;
}

/**
 * Decides of each entry in turn whether it is written.
 * @throws UserError for an entry that makes the archive one to refuse
 */
export type Gate = (entry: EntryFacts) => boolean;

const UNLIMITED: Limits = { bytes: Number.POSITIVE_INFINITY, entries: Number.POSITIVE_INFINITY };

/** Refuses entries that would lie outside the folder, links that lead out of it, other kinds of entries, and too many. */
export function createGate(archive: string, { selects, limits = UNLIMITED, onProgress }: GateOptions): Gate {
  let bytes = 0;
  let entries = 0;
  return (entry) => {
    const problem = problemOf(entry);
    if (problem) {
      throw new UserError(`${archive} holds ${printable(entry.name, 200)}, ${problem}`, {
        expected: 'files and folders that stay in the folder into which they are unpacked',
        remedy: 'do not use this archive: nothing of it was kept',
      });
    }
    if (selects && !selects(entry.name)) return false;
    bytes += entry.bytes;
    entries += 1;
    const excess =
      bytes > limits.bytes ? `${limits.bytes} bytes` : entries > limits.entries && `${limits.entries} entries`;
    if (excess) {
      const expected = 'an archive that fits the disk and is not made to fill it';
      throw new UserError(`${archive} holds more than ${excess}`, { expected });
    }
    onProgress?.(bytes);
    return true;
  };
}

/** What is wrong with an entry's path or kind; null where nothing is. */
function problemOf({ name, kind, link }: EntryFacts): string | null {
  if (isAbsolute(name)) return 'an absolute path';
  if (partsOf(name).includes('..')) return 'a path that leads out of the folder';
  if (name.includes('\0')) return 'a name that no file can have';
  if (kind === 'other') return 'which is neither a file nor a folder';
  if (kind === 'link' && (!link || leadsOut(link.from, link.to))) return 'a link that leads out of the folder';
  if (link && isPartOfOther(name, link.to))
    return 'a link to the name of a folder around it, or to what would lie in it';
  return null;
}

function isAbsolute(path: string): boolean {
  return /^(?:[\\/]|[a-z]:)/i.test(path);
}

/** Whether a link leads, or could lead by way of other links, out of the archive's root. */
function leadsOut(from: string, to: string): boolean {
  if (isAbsolute(to)) return true;
  const parts = meaningful(to);
  const down = parts.findIndex((part) => part !== '..');
  const up = down < 0 ? parts.length : down;
  // Behind a name, which may be a link itself, '..' may be anywhere.
  return up > meaningful(from).length || parts.slice(up).includes('..');
}

/** Whether one path begins with the other: the tar package would wait for itself, for ever, to be done with such a link. */
function isPartOfOther(path: string, other: string): boolean {
  const [short = [], long = []] = [path, other]
    .map((each) => meaningful(each.normalize('NFD').toLowerCase().toUpperCase()))
    .sort((a, b) => a.length - b.length);
  return short.length > 0 && short.length < long.length && short.every((part, at) => part === long[at]);
}

function meaningful(path: string): string[] {
  return partsOf(path).filter((part) => part !== '' && part !== '.');
}

function partsOf(path: string): string[] {
  return path.split(/[\\/]/);
}
