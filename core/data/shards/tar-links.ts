import { posix } from 'node:path';
import type { ByteSource } from './source.js';
import { type TarFile, type TarLink, tarEntries } from './tar-files.js';

/** Links that lead to links: more of them in a row lead nowhere. */
const MOST_LINKS = 16;

/** The files to which links of an archive lead, by the names of the links; those that lead nowhere are not in it. */
export type LinkTargets = ReadonlyMap<string, TarFile>;

/** Follows links, for which the headers of the archive are read once more. */
export async function followLinks(source: ByteSource, links: readonly TarLink[]): Promise<LinkTargets> {
  const targets = new Map(links.map((link) => [cleanName(link.name), targetOf(link)]));
  const wanted = new Set(targets.values());
  const files = new Map<string, TarFile>();
  for await (const entry of tarEntries(source)) {
    const name = cleanName(entry.name);
    if (entry.kind === 'file' && wanted.has(name)) files.set(name, entry);
  }
  const found = new Map<string, TarFile>();
  for (const link of links) {
    let target: string | undefined = targetOf(link);
    for (let steps = 0; target !== undefined && !files.has(target) && steps < MOST_LINKS; steps++) {
      target = targets.get(target);
    }
    const file = target === undefined ? undefined : files.get(target);
    if (file) found.set(link.name, file);
  }
  return found;
}

/** A symbolic link leads on from where it lies, a hard link from the root. */
function targetOf({ name, target, isSymbolic }: TarLink): string {
  return cleanName(isSymbolic ? posix.join(posix.dirname(name), target) : target);
}

/** The same for all ways to write a name. */
function cleanName(name: string): string {
  return posix.normalize(name).replace(/^\/+/, '');
}
