import { hash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Console } from '../../base/console.js';
import { UserError, unknownName } from '../../base/errors.js';
import { buildFolder, removeFolder } from '../../base/staging.js';
import { extractArchive } from '../../fetch/extract.js';
import { runNpm } from './npm.js';
import { hasRuntime, libraryFolder, RUNTIME_FOLDER, RUNTIME_PLATFORMS, RUNTIME_VERSION } from './place.js';

const PACKAGE = `onnxruntime-node@${RUNTIME_VERSION}`;
/** SHA-512 of the package, as npm's registry has it. */
const INTEGRITY = 'twhs1C2C/BFkz1yc5OY0KIU2GUq6DURO7hD4bx5Q2Qy3nAMJwRXW8xU3NVczE29VA9lolLOYepoD8fjTGOfIqw==';
/** In the package a second time, under the name with the major version alone. */
const TWICE = `${libraryFolder('darwin-arm64')}/libonnxruntime.${RUNTIME_VERSION}.dylib`;

/**
 * Fetches ONNX Runtime's package by npm, without running its scripts, and takes the libraries of the given platforms out of
 * it, beside those that are there.
 * @param platforms such as 'linux-x64'
 * @param console is told what is done
 * @throws UserError with what to do
 */
export async function installOnnx(platforms: readonly string[], console: Pick<Console, 'line'>): Promise<void> {
  for (const name of platforms) {
    if (!RUNTIME_PLATFORMS.includes(name)) throw unknownName('platform', name, RUNTIME_PLATFORMS);
  }
  const whole = RUNTIME_PLATFORMS.filter((name) => platforms.includes(name) || hasRuntime(name));
  await buildFolder(RUNTIME_FOLDER, async (staging) => {
    console.line(`fetching ${PACKAGE} (113 MB) by npm`);
    const archive = await fetchPackage(staging);
    console.line(`taking the libraries of ${whole.join(', ')} out of it`);
    const folders = whole.map((name) => `package/${libraryFolder(name)}/`);
    await extractArchive(archive, staging, {
      what: `the package ${PACKAGE}`,
      selects: (name) =>
        /^package\/(?:package\.json|README\.md|dist\/\w+\.js)$/.test(name) ||
        (folders.some((each) => name.startsWith(each)) && name !== `package/${TWICE}`),
    });
    return join(staging, 'package');
  });
}

/** Removes ONNX Runtime. Gives false where it was not there. */
export function removeOnnx(): Promise<boolean> {
  return removeFolder(RUNTIME_FOLDER);
}

async function fetchPackage(folder: string): Promise<string> {
  const { code, output } = await runNpm(['pack', PACKAGE, '--prefer-offline', '--pack-destination', folder]).catch(
    (error: NodeJS.ErrnoException) => ({ code: null, output: `npm cannot be started: ${error.code}` }),
  );
  const name = (await readdir(folder)).find((file) => file.endsWith('.tgz'));
  if (code !== 0 || name === undefined) {
    const lines = output.trim().split('\n');
    const reasons = lines.filter((line) => !line.includes('A complete log')).slice(0, 3);
    throw new UserError(`npm could not fetch ${PACKAGE}:\n    ${reasons.join('\n    ')}`, {
      expected: 'npm, and a package registry that can be reached',
      remedy: 'check the network and the registry (npm config get registry), and try again; nothing was changed',
    });
  }
  const archive = join(folder, name);
  if (hash('sha512', await readFile(archive), 'base64') === INTEGRITY) return archive;
  throw new UserError(`${PACKAGE} did not arrive as it was published: its checksum is another`, {
    remedy: 'look at which registry npm uses (npm config get registry); nothing was changed',
  });
}
