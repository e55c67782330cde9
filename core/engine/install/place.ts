import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

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

/** Whether the native part of a package of TensorFlow is there. */
export function hasNativePart(packageFolder: string): boolean {
  return existsSync(join(packageFolder, 'lib'));
}
