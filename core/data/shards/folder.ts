import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { explainSystemError, isMissing, UserError } from '../../base/errors.js';
import { shownName, systemPath } from '../../base/file-names.js';
import { isImage } from '../listing/kinds.js';
import { LeftOut } from '../listing/left-out.js';
import { lookInto, type Wanted } from '../listing/look.js';

/** How far below a folder shards are looked for. */
const LEVELS = 2;

const SHARDS: Wanted = {
  wants: (name) => /\.tar$/i.test(name),
  passedOver(name) {
    if (isImage(name)) return { noun: 'picture', reason: 'shards are taken here, and no pictures beside them' };
    const isPacked = /\.(?:tar\.\w+|tgz)$/i.test(name);
    return isPacked ? { noun: 'packed shard', reason: 'nothing can be read out of its middle (unpack it)' } : undefined;
  },
};

/**
 * The shards (.tar) in a folder of this machine and up to two levels below it, in the order of their names.
 * @throws UserError if there are none
 */
export async function shardsIn(folder: string): Promise<{ places: string[]; notes: string[] }> {
  const advice = {
    expected: 'a folder of shards (.tar), or names of shards with braces',
    remedy: "name them, in single quotes: 'data/train-{000000..000146}.tar'",
  };
  const places: string[] = [];
  const leftOut = new LeftOut();
  const visited = new Set<string>();
  const visit = async (place: string, level: number): Promise<void> => {
    const real = (await realpath(systemPath(place), 'buffer')).toString('latin1');
    if (visited.has(real)) return;
    visited.add(real);
    const { files, folders, leftOut: groups } = await lookInto(place, SHARDS);
    for (const { noun, reason, example, count } of groups) leftOut.add(noun, reason, join(place, example), count);
    places.push(...files.map((name) => join(place, name)));
    for (const name of folders) {
      if (level < LEVELS) await visit(join(place, name), level + 1);
      else leftOut.add('folder', `shards are looked for ${LEVELS} levels deep`, join(place, name));
    }
  };
  try {
    await visit(folder, 0);
  } catch (error) {
    if (isMissing(error) || (error instanceof Error && 'code' in error && error.code === 'ENOTDIR')) {
      throw new UserError(`${shownName(folder)} is not a folder, or does not exist`, advice);
    }
    throw explainSystemError(error, shownName(folder));
  }
  if (places.length > 0) return { places, notes: leftOut.notes };
  throw new UserError([`there are no shards in ${shownName(folder)}`, ...leftOut.notes].join('\n    '), advice);
}
