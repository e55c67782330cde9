import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository, seen from `dist/test/helpers`. */
export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
export const FIXTURES = join(ROOT, 'fixtures');
/** The compiled command. */
export const COMMAND = join(ROOT, 'dist', 'bin', 'ijepa.js');
