import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** The package onnxruntime-node as it is loaded. */
export type Runtime = typeof import('onnxruntime-node');

/** @throws Error if it is not installed or does not load; its message is the reason */
export function loadRuntime(): { runtime: Runtime; version: string } {
  let version: string;
  try {
    version = (require('onnxruntime-node/package.json') as { version: string }).version;
  } catch (error) {
    throw new Error('the package onnxruntime-node is not installed', { cause: error });
  }
  try {
    return { runtime: require('onnxruntime-node'), version };
  } catch (error) {
    throw new Error(`onnxruntime-node ${version} does not load on ${process.platform} ${process.arch}`, {
      cause: error,
    });
  }
}
