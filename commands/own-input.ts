import { existsSync, realpathSync } from 'node:fs';
import { attempt, UserError } from '../core/base/errors.js';
import { systemPath } from '../core/base/file-names.js';
import type { ImageCollection } from '../core/plugin.js';

/**
 * --force replaces a picture that was drawn before, never one that is to be shown.
 * @throws UserError if the file to write is one of the images
 */
export function refuseOwnInput(out: string, images: ImageCollection): void {
  if (!existsSync(out)) return;
  const place = realpathSync(out);
  for (let index = 0; index < images.length; index++) {
    const { source } = images.item(index);
    if (typeof source !== 'string' || attempt(() => realpathSync(systemPath(source)), null) !== place) continue;
    throw new UserError(`${out} is one of the images that are to be shown`, {
      expected: 'another file to write',
      remedy: 'use another --out',
    });
  }
}
