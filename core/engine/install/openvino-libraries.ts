import { existsSync } from 'node:fs';
import { cp, readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { UserError } from '../../base/errors.js';
import { OPENVINO_LIBRARIES, OPENVINO_VERSION, THIS_PLATFORM } from './place.js';

/** How libopenvino names its version: 2026.4.1-22982-e213a147257. */
const VERSION_IN_LIBRARY = /(\d{4}\.\d+\.\d+)-\d+-[\da-f]{7,}/;

/**
 * Brings OpenVINO's libraries from wherever they lie in a folder into another one, and the licences of an installed package.
 * @param shown what messages call the folder
 * @param bring copies or moves a file
 * @throws UserError if one is missing, or they are of another version
 */
export async function takeLibraries(
  root: string,
  shown: string,
  into: string,
  bring: (from: string, to: string) => Promise<void>,
): Promise<void> {
  const { loaded, opened, optional } = OPENVINO_LIBRARIES;
  const [, core = '', interfaceOfC = ''] = loaded;
  const paths = await readdir(root, { recursive: true });
  const home = dirname(nearest(paths, interfaceOfC) ?? '');
  const find = (name: string) => (existsSync(join(root, home, name)) ? join(home, name) : nearest(paths, name));
  const advice = {
    expected: `OpenVINO ${OPENVINO_VERSION} for ${THIS_PLATFORM}: an installed package, or the folder openvino/libs in it`,
    remedy: 'name another one with --from, or leave it out',
  };
  const missing = [interfaceOfC, ...loaded, ...opened].find((name) => find(name) === undefined);
  if (missing !== undefined) {
    const other = paths.find((path) => /^(?:lib)?openvino_c\./.test(basename(path)));
    const instead = missing === interfaceOfC && other ? `, but ${other}, which is of another version` : '';
    throw new UserError(`${shown} does not have ${missing}${instead}`, advice);
  }
  const bytes = await readFile(join(root, find(core) ?? ''), 'latin1');
  const version = VERSION_IN_LIBRARY.exec(bytes)?.[1] ?? 'unknown';
  if (version !== OPENVINO_VERSION) throw new UserError(`${shown} has OpenVINO of version ${version}`, advice);
  for (const name of [...loaded, ...opened, ...optional]) {
    const path = find(name);
    if (path !== undefined) await bring(join(root, path), join(into, name));
  }
  const licences = join(root, home, '..', '..', `openvino-${OPENVINO_VERSION}.dist-info`, 'licenses');
  if (existsSync(licences)) await cp(licences, join(into, 'licenses'), { recursive: true });
}

/** The path of a file of this name that has the fewest characters. */
function nearest(paths: readonly string[], name: string): string | undefined {
  return paths.filter((path) => basename(path) === name).sort((a, b) => a.length - b.length)[0];
}
