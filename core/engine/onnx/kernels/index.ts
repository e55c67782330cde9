import { tf } from '../../tf.js';
import { ELEMENTWISE } from './elementwise.js';
import { FUSED } from './fused.js';
import { MATMUL } from './matmul.js';
import { REDUCE } from './reduce.js';
import { SHAPE } from './shape.js';
import { registerKernels } from './table.js';

/** Registers all kernels; in place of those that are missing, one that says where it would go. */
export function registerAllKernels(backendName: string): void {
  for (const table of [ELEMENTWISE, SHAPE, REDUCE, MATMUL, FUSED]) registerKernels(backendName, table);
  for (const { kernelName } of tf.getKernelsForBackend('cpu')) {
    if (tf.getKernel(kernelName, backendName)) continue;
    tf.registerKernel({
      kernelName,
      backendName,
      kernelFunc: () => {
        throw new Error(`the engine onnx has no kernel ${kernelName}; it would go into core/engine/onnx/kernels/`);
      },
    });
  }
}
