import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import util from 'node:util';
import { reasonOf } from '../base/errors.js';
import type { EngineName, EngineStarter } from './contract.js';
import { hasNativePart } from './install/place.js';
import { stepwise } from './stepwise.js';
import { tf } from './tf.js';

const require = createRequire(import.meta.url);

/** TensorFlow's C library on an NVIDIA GPU. */
export const tensorflowGpu = nativeTensorflow('tensorflow-gpu', ['@tensorflow/tfjs-node-gpu'], 'GPU (CUDA)');

/** TensorFlow's C library on the CPU; the package for GPUs does that too, where its library is built for CPUs. */
export const tensorflow = nativeTensorflow(
  'tensorflow',
  ['@tensorflow/tfjs-node', '@tensorflow/tfjs-node-gpu'],
  'CPU (TensorFlow C library)',
);

function nativeTensorflow(name: EngineName, packageNames: readonly string[], device: string): EngineStarter {
  return {
    name,
    async start() {
      restoreIsNullOrUndefined();
      const packageName = packageNames.find(isInstalled);
      if (packageName === undefined) throw new Error(`the package ${packageNames[0]} is not installed`);
      const { version, available } = loadNative(packageName);
      if (name === 'tensorflow-gpu' && !available) throw new Error('TensorFlow finds no GPU');
      if (!(await tf.setBackend('tensorflow'))) throw new Error(`the backend of ${packageName} did not start`);
      return {
        name,
        version,
        device,
        threads: availableParallelism(),
        memory: { limit: null, kind: 'stepwise', of: available ? 'card' : 'machine' },
        ...stepwise,
      };
    },
  };
}

function isInstalled(packageName: string): boolean {
  try {
    require.resolve(`${packageName}/package.json`);
    return true;
  } catch {
    return false;
  }
}

/** Loads the package, whose import registers its backend; throws a one-line reason where it cannot. */
function loadNative(packageName: string): { version: string; available: boolean } {
  const packagePath = require.resolve(`${packageName}/package.json`);
  const { version } = require(packagePath) as { version: string };
  if (!hasNativePart(dirname(packagePath))) {
    throw new Error(`the native part of ${packageName} is not installed`);
  }
  tf.enableProdMode(); // the package loads tfjs-core again, which would say so
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '1'; // what it says of its own build is no news to users
  try {
    require(packageName);
  } catch (error) {
    throw new Error(`the native part of ${packageName} does not load: ${reasonOf(error)}`, { cause: error });
  }
  const backend = tf.findBackend('tensorflow') as { isUsingGpuDevice?: boolean } | null;
  return { version, available: backend?.isUsingGpuDevice === true };
}

/** tfjs-node 4.22 calls `util.isNullOrUndefined`, of which Node 22 warns and which Node 23 removed. */
function restoreIsNullOrUndefined(): void {
  const legacy = util as { isNullOrUndefined?: (value: unknown) => boolean };
  legacy.isNullOrUndefined = (value) => value === null || value === undefined;
}
