import type { KernelBackend, TensorInfo } from './tf.js';
import { tf } from './tf.js';

/**
 * Makes the WebAssembly backend fast at products of transposed matrices.
 *
 * The backend has one fast path, for matrices of which none is transposed; the other path is 10 to 30 times slower, and
 * half of the products in a gradient are of that kind. Transposing first costs a hundredth of that. Replaces the
 * backend's BatchMatMul kernel; doing it twice changes nothing.
 */
export function installFastMatMul(): void {
  const original = tf.getKernel('BatchMatMul', 'wasm');
  if (original.kernelFunc.name === 'transposeThenMultiply') return;
  tf.unregisterKernel('BatchMatMul', 'wasm');
  tf.registerKernel({
    ...original,
    kernelFunc: function transposeThenMultiply({ inputs, attrs, backend }) {
      const { a, b } = inputs as { a: TensorInfo; b: TensorInfo };
      const { transposeA, transposeB } = attrs as { transposeA: boolean; transposeB: boolean };
      const left = transposeA ? transposeLastTwo(a, backend as KernelBackend) : a;
      const right = transposeB ? transposeLastTwo(b, backend as KernelBackend) : b;
      const product = original.kernelFunc({
        inputs: { a: left, b: right },
        attrs: { transposeA: false, transposeB: false },
        backend,
      });
      for (const copy of [left, right]) {
        if (copy !== a && copy !== b) (backend as KernelBackend).disposeData(copy.dataId);
      }
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
