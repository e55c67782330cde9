import { existsSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { basename } from 'node:path';
import { explainSystemError, UserError } from '../base/errors.js';
import type { Checkpoint } from './checkpoint.js';
import { checkpointsByAge, latestCheckpoint, setAsideName } from './names.js';
import { DamagedFile } from './safetensors.js';
import { replaceByLink } from './save.js';

/**
 * The newest whole checkpoint of a run. Where that is not the newest one, damaged ones are set aside under other names,
 * and it takes the newest one's place.
 * @param load reads one, as `loadCheckpoint` does
 * @param warn is told of each checkpoint that is damaged or missing
 * @returns null where there is none at all
 * @throws UserError if there are some, but none is whole: nothing is changed then
 */
export async function recoverCheckpoint(
  folder: string,
  load: (path: string) => Promise<Checkpoint>,
  warn: (text: string) => void,
): Promise<Checkpoint | null> {
  const latest = latestCheckpoint(folder);
  const damaged: { path: string; problem: string }[] = [];
  for (const path of checkpointsByAge(folder)) {
    if (!existsSync(path)) continue;
    try {
      const checkpoint = await load(path);
      if (path !== latest) {
        if (!existsSync(latest)) warn(`${latest} is missing`);
        for (const { path: bad, problem } of damaged) warn(`${problem}\n  it was set aside as ${await setAside(bad)}`);
        await replaceByLink(path, latest);
        warn(`the run goes on from ${basename(path)}, step ${checkpoint.state.step}`);
      }
      return checkpoint;
    } catch (error) {
      if (!(error instanceof DamagedFile)) throw error;
      damaged.push({ path, problem: error.message });
    }
  }
  if (damaged.length === 0) return null;
  throw new UserError(damaged.map(({ problem }) => problem).join('\n'), {
    expected: 'one whole checkpoint of the run',
    remedy: 'put back a copy of one of them and use --resume again, or use --force to delete the run and start anew',
  });
}

/** Gives a damaged checkpoint a name under which nothing looks for it. */
async function setAside(path: string): Promise<string> {
  const name = setAsideName(path);
  try {
    await rename(path, name);
  } catch (error) {
    throw explainSystemError(error, path);
  }
  return name;
}
