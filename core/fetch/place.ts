import { lstat, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../base/errors.js';

/**
 * Moves everything in a folder into another one on the same disk. Folders that are there already take in what is new;
 * files of the same size are taken to be the same and stay as they are.
 * @returns the names that were moved, at the top
 * @throws UserError, before anything is moved, if something else is in the way
 */
export async function moveInto(from: string, to: string): Promise<string[]> {
  await checkWay(from, to);
  const names = await readdir(from);
  for (const name of names) await move(join(from, name), join(to, name));
  return names.sort();
}

async function checkWay(from: string, to: string): Promise<void> {
  for (const name of await readdir(from)) {
    const [source, target] = [join(from, name), join(to, name)];
    const [moved, there] = [await lstat(source), await find(target)];
    if (!there) continue;
    if (moved.isDirectory() && there.isDirectory()) await checkWay(source, target);
    else if (!moved.isFile() || !there.isFile() || moved.size !== there.size) {
      throw new UserError(`${target} is in the way`, {
        expected: 'that nothing else has the name of what is unpacked',
        remedy: 'remove or rename it, or choose another folder; nothing was changed',
      });
    }
  }
}

async function move(source: string, target: string): Promise<void> {
  const there = await find(target);
  if (!there) return rename(source, target);
  if (!there.isDirectory()) return;
  for (const name of await readdir(source)) await move(join(source, name), join(target, name));
}

async function find(path: string) {
  return lstat(path).catch(() => null);
}
