import { existsSync } from 'node:fs';
import { cp, readFile, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';
import type { TransferConsole } from '../../base/console.js';
import { UserError } from '../../base/errors.js';
import { inStaging } from '../../base/staging.js';
import { runNpm, runProgram } from './npm.js';
import { TENSORFLOW_WHEEL, takeLibrary } from './tensorflow-library.js';
import { downloadWheel } from './wheel.js';

const require = createRequire(import.meta.url);
const PACKAGE = '@tensorflow/tfjs-node-gpu';
/** Node-API version of the addon; every Node from 20 on has it. */
const NODE_API = 8;
/** What builds the addon; npm fetches it when it is needed. */
const BUILDER = 'node-gyp@11.4.2';
/** What an installation adds to the package's folder. */
const PARTS = ['deps', 'lib'];

/**
 * Installs the native part of TensorFlow for Node into its package's folder: TensorFlow's C library, and the addon, built
 * against it. Everything is made beside and then moved into place; where it fails, nothing is left.
 * @param from where the library comes from: 'own', the package's own installer; 'pypi', a package index, `index` where it
 *   is another than the usual one; or the path of a libtensorflow folder, archive or wheel
 * @param console is told what is done
 * @throws UserError with what to do
 */
export async function installTensorflow(
  { from, index }: { from: string; index?: string },
  console: TransferConsole,
): Promise<void> {
  const folder = packageFolder();
  if (from === 'own') return runOwnInstaller(folder, console);
  if (process.platform !== 'linux' || (from === 'pypi' && process.arch !== 'x64')) {
    throw new UserError(`this way to install TensorFlow is not there for ${process.platform} on ${process.arch}`, {
      expected: 'Linux, on x86-64 for --from pypi',
      remedy: 'leave --from out, to use the installer of the package',
    });
  }
  await inStaging(folder, async (staging) => {
    const path = from === 'pypi' ? await downloadWheel(TENSORFLOW_WHEEL, index, staging, console) : from;
    console.line(`taking libraries and headers from ${from === 'pypi' ? basename(path) : path}`);
    await takeLibrary(path, staging);
    console.line('building the addon');
    await buildAddon(folder, staging);
    for (const part of PARTS) {
      await rm(join(folder, part), { recursive: true, force: true });
      await rename(join(staging, part), join(folder, part));
    }
  });
}

/** Removes what an installation added. Gives false where there was nothing. */
export async function removeTensorflow(): Promise<boolean> {
  const folder = packageFolder();
  const there = PARTS.map((part) => join(folder, part)).filter(existsSync);
  for (const part of there) await rm(part, { recursive: true, force: true });
  return there.length > 0;
}

function packageFolder(): string {
  try {
    return dirname(require.resolve(`${PACKAGE}/package.json`));
  } catch {
    throw new UserError(`the package ${PACKAGE} is not installed`, {
      expected: 'an optional package of this program',
      remedy:
        'npm install --ignore-scripts @tensorflow/tfjs-node-gpu@4.22.0, in the folder of the project (-g where this program is global)',
    });
  }
}

async function buildAddon(folder: string, staging: string): Promise<void> {
  for (const part of ['binding', 'binding.gyp']) await cp(join(folder, part), join(staging, part), { recursive: true });
  const headers = resolve(dirname(process.execPath), '..');
  const options = [
    '--module_name=tfjs_binding',
    `--module_path=${join(staging, 'lib', `napi-v${NODE_API}`)}`,
    `--napi_build_version=${NODE_API}`,
    // The headers of this very Node, where they came with it; else node-gyp fetches them.
    ...(existsSync(join(headers, 'include', 'node', 'node_api.h')) ? [`--nodedir=${headers}`] : []),
  ];
  const build = ['exec', '--yes', `--package=${BUILDER}`, '--', 'node-gyp', 'rebuild', ...options];
  const { code, output } = await runNpm(build, staging);
  if (code === 0) return;
  const lines = output.trimEnd().split('\n').slice(-12).join('\n    ');
  throw new UserError(`the addon was not built; node-gyp ended with ${code}:\n    ${lines}`, {
    expected: 'make, a C++ compiler, Python 3 (for node-gyp alone), and the headers of Node',
    remedy: 'install what is missing (Debian: apt install g++ make python3) and try again; nothing was installed',
  });
}

async function runOwnInstaller(folder: string, console: TransferConsole): Promise<void> {
  console.line(`running the installer of ${PACKAGE}`);
  const script = [join('scripts', 'install.js'), 'cpu', 'download'];
  const { code, output } = await runProgram(process.execPath, script, folder);
  const { binary } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { binary: { host: string } };
  if (code === 0 && existsSync(join(folder, 'lib'))) return;
  await removeTensorflow();
  const lines = output.trim().split('\n');
  const reason = lines.find((line) => /^\s*\w*Error:/.test(line)) ?? lines.at(-1) ?? '';
  throw new UserError(`the installer of ${PACKAGE} failed: ${reason.trim()}`, {
    expected: `that ${new URL(binary.host).host} can be reached`,
    remedy: 'use --from pypi, or --from with a libtensorflow folder or archive; nothing was installed',
  });
}
