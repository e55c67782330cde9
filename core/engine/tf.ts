import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/**
 * TensorFlow.js, with every gradient registered.
 *
 * The union package is loaded as CommonJS on purpose: the entry point of tfjs-core for Node registers no gradients,
 * and its ES modules cannot be imported by Node.
 */
export const tf: typeof import('@tensorflow/tfjs') = require('@tensorflow/tfjs');

export type {
  BackendValues,
  DataId,
  DataType,
  Rank,
  Scalar,
  Tensor,
  Tensor1D,
  Tensor2D,
  Tensor3D,
  Tensor4D,
  TensorInfo,
} from '@tensorflow/tfjs';
