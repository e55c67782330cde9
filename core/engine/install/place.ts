import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { attempt } from '../../base/errors.js';

/** The version of ONNX Runtime that this program is made for. */
export const RUNTIME_VERSION = '1.30.0';

/** The folder of ONNX Runtime, in this program's own: its package as far as it is needed, with libraries of some platforms. */
export const RUNTIME_FOLDER = fileURLToPath(new URL('../../../../vendor/onnxruntime-node', import.meta.url));

/** This machine's platform, as the package calls it. */
export const THIS_PLATFORM = `${process.platform}-${process.arch}`;

/** Platforms that the package has libraries for. */
export const RUNTIME_PLATFORMS = 'linux-x64 linux-arm64 darwin-arm64 win32-x64 win32-arm64'.split(' ');

/** Whether the libraries of a platform are there, of the version that is wanted. */
export function hasRuntime(platform: string): boolean {
  try {
    const { version } = JSON.parse(readFileSync(join(RUNTIME_FOLDER, 'package.json'), 'utf8'));
    const binding = join(RUNTIME_FOLDER, libraryFolder(platform), 'onnxruntime_binding.node');
    return version === RUNTIME_VERSION && existsSync(binding);
  } catch {
    return false;
  }
}

/** Where the libraries of a platform lie in the package. */
export function libraryFolder(platform: string): string {
  return `bin/napi-v6/${platform.replace('-', '/')}`;
}

/** The version of OpenVINO that this program is made for. */
export const OPENVINO_VERSION = '2026.4.1';

/** The folder of OpenVINO's libraries, in this program's own. */
export const OPENVINO_FOLDER = fileURLToPath(new URL('../../../../vendor/openvino', import.meta.url));

/** The file in it that names the version; it is written last. */
export const OPENVINO_VERSION_FILE = 'version.txt';

/** What the plugin for the processor is called after. */
const CPU = process.arch === 'arm64' ? 'arm' : 'intel';

/**
 * The libraries that are needed of OpenVINO, by the names that they have in its wheels: those that a program loads, in that
 * order, those that they open themselves, beside them, and those that its thread pool opens where they are there.
 */
const LIBRARIES: Partial<Record<NodeJS.Platform, { loaded: string[]; opened: string[]; optional: string[] }>> = {
  linux: {
    loaded: ['libtbb.so.12', 'libopenvino.so.2641', 'libopenvino_c.so.2641'],
    opened: [
      `libopenvino_${CPU}_cpu_plugin.so`,
      'libopenvino_onnx_frontend.so.2641',
      'libopenvino_ir_frontend.so.2641', // reads compiled models that are kept in a cache
    ],
    optional: ['libtbbmalloc.so.2', 'libtbbbind_2_5.so.3', 'libhwloc.so.15'],
  },
  darwin: {
    loaded: ['libtbb.12.dylib', 'libopenvino.2641.dylib', 'libopenvino_c.2641.dylib'],
    opened: [
      `libopenvino_${CPU}_cpu_plugin.so`,
      'libopenvino_onnx_frontend.2641.dylib',
      'libopenvino_ir_frontend.2641.dylib',
    ],
    optional: ['libtbbmalloc.2.dylib', 'libtbbbind_2_5.3.dylib', 'libhwloc.dylib'],
  },
  win32: {
    loaded: ['tbb12.dll', 'openvino.dll', 'openvino_c.dll'],
    opened: [`openvino_${CPU}_cpu_plugin.dll`, 'openvino_onnx_frontend.dll', 'openvino_ir_frontend.dll'],
    optional: ['tbbmalloc.dll', 'tbbbind_2_5.dll'],
  },
};

/** The names of OpenVINO's libraries on this platform; none on one that it does not have any for. */
export const OPENVINO_LIBRARIES = LIBRARIES[process.platform] ?? { loaded: [], opened: [], optional: [] };

/** Whether OpenVINO is there, of the version that is wanted. */
export function hasOpenvino(folder = OPENVINO_FOLDER): boolean {
  const names = [...OPENVINO_LIBRARIES.loaded, ...OPENVINO_LIBRARIES.opened];
  if (names.length === 0 || !names.every((name) => existsSync(join(folder, name)))) return false;
  return attempt(() => readFileSync(join(folder, OPENVINO_VERSION_FILE), 'utf8').trim(), '') === OPENVINO_VERSION;
}

/** The paths of the libraries that are loaded to use OpenVINO, in the order in which that is done. */
export function openvinoLibraries(folder = OPENVINO_FOLDER): string[] {
  return OPENVINO_LIBRARIES.loaded.map((name) => join(folder, name));
}

/** The folder of MPI, in this program's own: `bin` with the launcher, `lib` with the libraries. */
export const MPI_FOLDER = fileURLToPath(new URL('../../../../vendor/mpi', import.meta.url));

/** The program that starts the processes of a run, in the folder of MPI. */
export const MPI_LAUNCHER = 'bin/mpiexec';

/** MPI's library in that folder. */
export const MPI_LIBRARY = process.platform === 'darwin' ? 'lib/libmpi.12.dylib' : 'lib/libmpi.so.12';

/** Whether MPI has been installed. */
export function hasMpi(folder = MPI_FOLDER): boolean {
  return [MPI_LAUNCHER, MPI_LIBRARY].every((name) => existsSync(join(folder, name)));
}

/** Whether the native part of a package of TensorFlow is there. */
export function hasNativePart(packageFolder: string): boolean {
  return existsSync(join(packageFolder, 'lib'));
}
