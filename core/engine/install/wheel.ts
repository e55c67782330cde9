import { z } from 'zod';
import { UserError } from '../../base/errors.js';
import { networkReason } from '../../fetch/request.js';

/** The wheel whose libraries the addon is built against; newer ones are larger and bring nothing that it uses. */
const PROJECT = 'tensorflow-cpu';
const VERSION = '2.15.1';
const PLATFORM = /manylinux.*x86_64\.whl$/;
/** The Python Package Index, where the user names no other index. */
export const DEFAULT_INDEX = 'https://pypi.org/simple';

/** A file of an index (PEP 691). */
const wheelSchema = z.object({
  filename: z.string(),
  url: z.string(),
  hashes: z.object({ sha256: z.string() }),
  size: z.number().nullish(),
});
export type Wheel = z.infer<typeof wheelSchema>;

/**
 * Finds TensorFlow's wheel in a package index.
 * @param index the address of its simple interface
 * @throws UserError if the index cannot be reached or does not have it
 */
export async function findWheel(index: string): Promise<Wheel> {
  const address = `${index.replace(/\/$/, '')}/${PROJECT}/`;
  const headers = { accept: 'application/vnd.pypi.simple.v1+json' };
  const response = await fetch(address, { headers }).catch((error: unknown) => {
    throw new UserError(`${address} cannot be reached: ${networkReason(error)}`, {
      remedy: 'check the network, name another index with --index, or a libtensorflow folder or archive with --from',
    });
  });
  if (!response.ok) {
    throw new UserError(`${address} answers ${response.status} ${response.statusText}`, {
      remedy: 'name another index with --index',
    });
  }
  const listed = z.object({ files: z.array(wheelSchema) }).safeParse(await response.json().catch(() => null));
  if (!listed.success) {
    throw new UserError(`${address} does not answer as a package index`, {
      expected: 'an index with the JSON interface of PEP 691',
      remedy: 'name another one with --index',
    });
  }
  const wheel = chooseWheel(listed.data.files);
  if (wheel) return { ...wheel, url: new URL(wheel.url, address).href };
  throw new UserError(`${address} has no wheel of ${PROJECT} ${VERSION} for Linux on x86-64`, {
    remedy: 'name another index with --index, or a libtensorflow folder or archive with --from',
  });
}

/** The wheel of the version and platform; the libraries are the same for every version of Python. */
export function chooseWheel(files: readonly Wheel[]): Wheel | undefined {
  const start = `${PROJECT.replaceAll('-', '_')}-${VERSION}-`;
  return files
    .filter(({ filename }) => filename.startsWith(start) && PLATFORM.test(filename))
    .sort((a, b) => (a.filename < b.filename ? -1 : 1))
    .at(-1);
}
