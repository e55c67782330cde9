import { statSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../errors.js';

/**
 * Refuses a path where no picture may be written, before the work for it is done.
 * @param flag that named it
 * @param force whether a file that is there may be replaced
 */
export function checkPlace(out: string, flag: string, force: boolean): void {
  const found = statSync(out, { throwIfNoEntry: false });
  if (found?.isDirectory()) {
    throw new UserError(`${out} is a folder`, {
      expected: 'the name of a file',
      remedy: `use ${flag} ${join(out, 'preview.png')}`,
    });
  }
  if (found && !force) {
    throw new UserError(`${out} exists`, {
      expected: 'a new file',
      remedy: `use --force to replace it, or another ${flag}`,
    });
  }
}
