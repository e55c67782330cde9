import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import util from 'node:util';
import { reasonOf } from '../base/errors.js';
import { type Engine, type EngineName, oneByOne } from './contract.js';
import { hasNativePart } from './install/place.js';
import { type KernelBackend, type TensorInfo, tf } from './tf.js';

const require = createRequire(import.meta.url);

/** WebAssembly addresses 4 GiB; a quarter is left for what tensors do not count, and for gaps between them. */
const MEMORY_BYTES = 3 * 2 ** 30;

/** How engines of TensorFlow.js compute: at once, one part after the other, updates and sums by plain operations. */
const stepwise: Pick<Engine, 'compile' | 'concurrency' | 'compileParts' | 'updateParameter' | 'accumulate'> = {
  compile:
    (fn) =>
    async (...inputs) =>
      fn(...inputs),
  concurrency: 1,
  compileParts: oneByOne,
  async updateParameter(slot, gradient, rates, { beta1, beta2, epsilon }) {
    const { decayFactor, stepSize, sqrtBiasCorrection2, emaDecay } = rates;
    const { updated, sum } = tf.tidy(() => {
      const m = slot.first.mul(beta1).add(gradient.mul(1 - beta1));
      const v = slot.second.mul(beta2).add(gradient.square().mul(1 - beta2));
      const direction = m.div(v.sqrt().div(sqrtBiasCorrection2).add(epsilon));
      const value = slot.value.mul(decayFactor).sub(direction.mul(stepSize));
      const target = slot.target?.mul(emaDecay).add(value.mul(1 - emaDecay));
      return { updated: { value, first: m, second: v, ...(target && { target }) }, sum: value.square().sum() };
    });
    tf.dispose(slot);
    const squares = (await sum.data())[0];
    sum.dispose();
    return { slot: updated, squares };
  },
  async accumulate(sum, addend) {
    const added = sum.add(addend);
    tf.dispose([sum, addend]);
    return added;
  },
};

/** WebAssembly with SIMD, one thread under Node. */
export async function startWasm(): Promise<Engine> {
  const { version_wasm, getThreadsCount, setWasmPaths }: typeof import('@tensorflow/tfjs-backend-wasm') =
    require('./tfjs.cjs');
  setWasmPaths(fileURLToPath(new URL('./', import.meta.url)));
  tf.enableProdMode();
  if (!(await tf.setBackend('wasm'))) throw new Error('the WebAssembly backend did not start');
  installFastMatMul();
  const simd = await tf.env().getAsync('WASM_HAS_SIMD_SUPPORT');
  return {
    name: 'wasm',
    version: version_wasm,
    device: `CPU (WebAssembly${simd ? ', SIMD' : ''})`,
    threads: Math.max(1, getThreadsCount()),
    memory: { limit: MEMORY_BYTES, kind: 'stepwise', of: 'machine' },
    ...stepwise,
  };
}

/** TensorFlow.js's own plain JavaScript backend: slow, always there, easy to step through. */
export async function startCpu(): Promise<Engine> {
  tf.enableProdMode(); // otherwise the backend advertises another package on standard error
  if (!(await tf.setBackend('cpu'))) throw new Error('the plain JavaScript backend did not start');
  return {
    name: 'cpu',
    version: tf.version_core,
    device: 'CPU (plain JavaScript)',
    threads: 1,
    memory: { limit: null, kind: 'stepwise', of: 'machine' },
    ...stepwise,
  };
}

/** TensorFlow's C library on an NVIDIA GPU. */
export const startTensorflowGpu = () => startNative('tensorflow-gpu', ['@tensorflow/tfjs-node-gpu'], 'GPU (CUDA)');

/** TensorFlow's C library on the CPU; the package for GPUs does that too, where its library is built for CPUs. */
export const startTensorflow = () =>
  startNative('tensorflow', ['@tensorflow/tfjs-node', '@tensorflow/tfjs-node-gpu'], 'CPU (TensorFlow C library)');

async function startNative(name: EngineName, packageNames: readonly string[], device: string): Promise<Engine> {
  // tfjs-node 4.22 calls `util.isNullOrUndefined`, of which Node 22 warns and which Node 23 removed.
  Object.assign(util, { isNullOrUndefined: (value: unknown) => value === null || value === undefined });
  const packageName = packageNames.find(isInstalled);
  if (packageName === undefined) throw new Error(`the package ${packageNames[0]} is not installed`);
  const packagePath = require.resolve(`${packageName}/package.json`);
  const { version } = require(packagePath) as { version: string };
  if (!hasNativePart(dirname(packagePath))) throw new Error(`the native part of ${packageName} is not installed`);
  tf.enableProdMode(); // the package loads tfjs-core again, which would say so
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '1'; // what it says of its own build is no news to users
  try {
    require(packageName); // which registers its backend
  } catch (error) {
    throw new Error(`the native part of ${packageName} does not load: ${reasonOf(error)}`, { cause: error });
  }
  const backend = tf.findBackend('tensorflow') as { isUsingGpuDevice?: boolean } | null;
  const available = backend?.isUsingGpuDevice === true;
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
}

function isInstalled(packageName: string): boolean {
  try {
    require.resolve(`${packageName}/package.json`);
    return true;
  } catch {
    return false;
  }
}

/**
 * Makes the WebAssembly backend fast at products of transposed matrices.
 *
 * The backend has one fast path, for matrices of which none is transposed; the other path is 10 to 30 times slower, and
 * half of the products in a gradient are of that kind. Transposing first costs a hundredth of that. Replaces the
 * backend's BatchMatMul kernel; doing it twice changes nothing.
 */
function installFastMatMul(): void {
  const original = tf.getKernel('BatchMatMul', 'wasm');
  if (original.kernelFunc.name === 'transposeThenMultiply') return;
  tf.unregisterKernel('BatchMatMul', 'wasm');
  tf.registerKernel({
    ...original,
    kernelFunc: function transposeThenMultiply({ inputs, attrs, backend }) {
      const { a, b } = inputs as { a: TensorInfo; b: TensorInfo };
      const { transposeA, transposeB } = attrs as { transposeA: boolean; transposeB: boolean };
      const owner = backend as KernelBackend;
      const left = transposeA ? transposeLastTwo(a, owner) : a;
      const right = transposeB ? transposeLastTwo(b, owner) : b;
      const untransposed = { transposeA: false, transposeB: false };
      const product = original.kernelFunc({ inputs: { a: left, b: right }, attrs: untransposed, backend });
      if (left !== a) owner.disposeData(left.dataId);
      if (right !== b) owner.disposeData(right.dataId);
      return product;
    },
  });
}

/** Runs the backend's own kernel, outside of the gradient tape. */
function transposeLastTwo(x: TensorInfo, backend: KernelBackend): TensorInfo {
  const rank = x.shape.length;
  const perm = [...Array(rank - 2).keys(), rank - 1, rank - 2];
  const { kernelFunc } = tf.getKernel('Transpose', 'wasm');
  return kernelFunc({ inputs: { x }, attrs: { perm }, backend }) as TensorInfo;
}
