import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { EngineStarter } from './contract.js';
import { stepwise } from './stepwise.js';
import { type KernelBackend, type TensorInfo, tf } from './tf.js';

const require = createRequire(import.meta.url);

/** WebAssembly addresses 4 GiB; a quarter is left for what tensors do not count, and for gaps between them. */
const MEMORY_BYTES = 3 * 2 ** 30;

/** WebAssembly with SIMD, one thread under Node. */
export const wasm: EngineStarter = {
  name: 'wasm',
  async start() {
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
  },
};

/** TensorFlow.js's own plain JavaScript backend: slow, always there, easy to step through. */
export const cpu: EngineStarter = {
  name: 'cpu',
  async start() {
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
  },
};

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
      const product = original.kernelFunc({
        inputs: { a: left, b: right },
        attrs: { transposeA: false, transposeB: false },
        backend,
      });
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
