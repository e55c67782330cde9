import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { runNpm } from '../core/engine/install/npm.js';
import { extractArchive } from '../core/fetch/extract.js';

/** A package of npm. Versions are pinned, so that the pictures are the same every time. */
export interface Package {
  package: string;
  version: string;
}

/** The folder of a package, which is fetched by npm where it is not there. @param packages where packages lie */
export async function fetchPackage(packages: string, { package: name, version }: Package): Promise<string> {
  const folder = join(packages, `${name.replace(/^@/, '').replace('/', '-')}-${version}`);
  if (existsSync(folder)) return folder;
  mkdirSync(packages, { recursive: true });
  const { code, output } = await runNpm(['pack', `${name}@${version}`, '--pack-destination', packages]);
  if (code !== 0) throw new Error(`npm could not fetch ${name}@${version}: ${output}`);
  const unpacking = `${folder}.unpacking`; // a folder of the package's name is a whole one
  rmSync(unpacking, { recursive: true, force: true });
  mkdirSync(unpacking);
  await extractArchive(`${folder}.tgz`, unpacking);
  renameSync(join(unpacking, 'package'), folder);
  rmSync(unpacking, { recursive: true });
  return folder;
}

export function readJson<T>(...path: string[]): T {
  return JSON.parse(readFileSync(join(...path), 'utf8')) as T;
}
