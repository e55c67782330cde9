import { existsSync } from 'node:fs';
import { chmod, cp, readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { TransferConsole } from '../../base/console.js';
import { explainSystemError, UserError } from '../../base/errors.js';
import { buildFolder, removeFolder } from '../../base/staging.js';
import { MPI_FOLDER, MPI_LAUNCHER, MPI_LIBRARY, THIS_PLATFORM } from './place.js';
import { type ExpectedWheel, unpackWheel } from './unpack-wheel.js';
import { downloadWheel, type WantedWheel } from './wheel.js';

const PROJECT = 'mpich';
const VERSION = '5.0.2';
/** For each platform the tag of its wheel, and its SHA-256. */
const WHEELS: Readonly<Record<string, readonly [tag: string, sha256: string]>> = {
  'linux-x64': ['manylinux_2_28_x86_64', '8fed465ebff269ea2ebac179a25de02671ddf8df476e0f115be089015015cfd4'],
  'linux-arm64': ['manylinux_2_28_aarch64', '992ae6ebb0da97d49d7a67000ae8112da9a3825da1bb1e6f1d196428a0410f2d'],
  'darwin-arm64': ['macosx_11_0_arm64', 'fa6611d3efa2d5a5f624976458d25988bfd5626afc09402f662ff0defbb45cd4'],
};
/** What starts processes, and on each machine. */
const PROGRAMS = [MPI_LAUNCHER, 'bin/hydra_pmi_proxy'];
/** What is taken of MPICH: the libraries of compilers and of the standard interface stay out. */
const PARTS = [...PROGRAMS, MPI_LIBRARY, 'lib/libpmpi.12.dylib', 'lib/mpich'];

/** Where MPICH comes from, and where it is installed. */
interface MpiSource {
  /** 'pypi', a package index; or the path of a wheel, or of a folder with `bin` and `lib`. */
  from: string;
  /** The package index, where it is another than the usual one. */
  index?: string;
  folder?: string;
}

/**
 * Installs MPICH: its launcher, its libraries and their licences. Where that fails, nothing has changed.
 * @param console is told what is done
 * @throws UserError with what to do
 */
export async function installMpi(source: MpiSource, console: TransferConsole): Promise<void> {
  const { from, index, folder = MPI_FOLDER } = source;
  await buildFolder(folder, async (staging) => {
    const path = from === 'pypi' ? await downloadWheel(mpiWheel(THIS_PLATFORM), index, staging, console) : from;
    console.line(`taking the launcher and libraries from ${from === 'pypi' ? basename(path) : path}`);
    const found = await stat(path).catch((error: unknown) => {
      throw explainSystemError(error, path);
    });
    const unpacked = join(staging, 'wheel');
    if (!found.isDirectory()) await unpackWheel(path, unpacked, expectedWheel());
    const built = join(staging, 'built');
    await takeParts(found.isDirectory() ? path : unpacked, path, built);
    return built;
  });
}

/** Removes what was installed. Gives false where it was not there. */
export function removeMpi(folder = MPI_FOLDER): Promise<boolean> {
  return removeFolder(folder);
}

/**
 * The wheel for a platform.
 * @throws UserError where there is none
 */
export function mpiWheel(platform: string): WantedWheel {
  const [tag, sha256] = WHEELS[platform] ?? [];
  if (!tag || !sha256) {
    throw new UserError(`MPICH ${VERSION} has no wheel for ${platform}`, {
      expected: `one of ${Object.keys(WHEELS).join(', ')}`,
      remedy: "use the system's MPI, or name a folder with MPICH with --from",
    });
  }
  const name = `${PROJECT}-${VERSION}-py3-none-${tag}.whl`;
  return { project: PROJECT, title: name, fits: (filename) => filename === name, sha256 };
}

function expectedWheel(): ExpectedWheel {
  const data = `${PROJECT}-${VERSION}.data/data/`;
  return {
    project: PROJECT,
    version: VERSION,
    tag: WHEELS[THIS_PLATFORM]?.[0],
    selects: (name) => !name.endsWith('/') && PARTS.some((part) => `${name}/`.startsWith(`${data}${part}/`)),
    advice: {
      expected: `the wheel of ${PROJECT} ${VERSION} for ${THIS_PLATFORM}, or a folder with bin and lib of MPICH`,
      remedy: `leave --from out, or fetch the wheel with: pip download --no-deps ${PROJECT}==${VERSION}`,
    },
  };
}

/**
 * Copies what is needed out of a folder in which MPICH was installed, or its wheel unpacked.
 * @param shown what messages call the folder
 * @throws UserError if something is missing
 */
async function takeParts(folder: string, shown: string, into: string): Promise<void> {
  const names = await readdir(folder);
  const data = names.find((name) => name.endsWith('.data'));
  const root = data === undefined ? folder : join(folder, data, 'data');
  const missing = [...PROGRAMS, MPI_LIBRARY].find((name) => !existsSync(join(root, name)));
  if (missing !== undefined) throw new UserError(`${shown} does not have ${missing}`, expectedWheel().advice);
  for (const part of PARTS.filter((name) => existsSync(join(root, name)))) {
    await cp(join(root, part), join(into, part), { recursive: true, dereference: true });
  }
  for (const program of PROGRAMS) await chmod(join(into, program), 0o755);
  const about = names.find((name) => name.endsWith('.dist-info')) ?? '';
  const licences = join(folder, about, 'licenses');
  if (about !== '' && existsSync(licences)) await cp(licences, join(into, 'licenses'), { recursive: true });
}
