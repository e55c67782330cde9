import { type TensorInfo, tf } from '../../tf.js';
import type { OnnxBackend } from '../backend.js';
import { ELEMENTWISE } from './elementwise.js';
import { FUSED } from './fused.js';
import { REDUCE } from './reduce.js';
import { SHAPE } from './shape.js';

/** Registers all kernels for a backend; in place of those that are missing, one that says where it would go. */
export function registerAllKernels(backendName: string): void {
  for (const [kernelName, kernel] of Object.entries({ ...ELEMENTWISE, ...SHAPE, ...REDUCE, ...FUSED })) {
    tf.registerKernel({
      kernelName,
      backendName,
      kernelFunc: ({ inputs, attrs, backend: owner }) => {
        const backend = owner as OnnxBackend;
        const tensors = inputs as unknown as Record<string, TensorInfo>;
        const values = Object.entries(tensors).flatMap(([name, tensor]) =>
          tensor ? [[name, backend.valueFor(tensor)]] : [],
        );
        const result = kernel(Object.fromEntries(values), attrs ?? {}, tensors, backend);
        if (Array.isArray(result)) return result.map((one) => backend.register(one));
        return 'dataId' in result ? result : backend.register(result);
      },
    });
  }
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
