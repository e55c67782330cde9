import { createRequire } from 'node:module';
import { reasonOf } from '../../base/errors.js';
import { commandName } from '../../base/program.js';
import { hasRuntime, RUNTIME_FOLDER, RUNTIME_PLATFORMS, RUNTIME_VERSION, THIS_PLATFORM } from '../install/place.js';

const require = createRequire(import.meta.url);

/** ONNX Runtime as it is loaded. */
export type Runtime = typeof import('onnxruntime-common');

/**
 * Loads ONNX Runtime, with its telemetry off: otherwise it writes files into the user's home and sends what it is used for
 * to its maker. The library reads the environment once, when the first thread loads it.
 * @throws Error if it is not there or does not load; its message is the reason
 */
export function loadRuntime(): { runtime: Runtime; version: string } {
  process.env.ORT_DISABLE_TELEMETRY = '1';
  if (!RUNTIME_PLATFORMS.includes(THIS_PLATFORM)) throw new Error(`there is no ONNX Runtime for ${THIS_PLATFORM}`);
  if (!hasRuntime(THIS_PLATFORM)) {
    throw new Error(
      `ONNX Runtime for ${THIS_PLATFORM} is not installed; get it by: ${commandName()} engine install onnx`,
    );
  }
  try {
    return { runtime: require(RUNTIME_FOLDER), version: RUNTIME_VERSION };
  } catch (error) {
    throw new Error(`ONNX Runtime ${RUNTIME_VERSION} does not load on ${THIS_PLATFORM}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}
