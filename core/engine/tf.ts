import { createRequire } from 'node:module';
import type {} from '@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops.js';

const require = createRequire(import.meta.url);

/** TensorFlow.js, with every gradient and chained method registered. */
export const tf: typeof import('@tensorflow/tfjs-core') = require('./tfjs.cjs');

export type {
  BackendValues,
  DataId,
  DataType,
  KernelBackend,
  Rank,
  Scalar,
  Tensor,
  Tensor1D,
  Tensor2D,
  Tensor3D,
  Tensor4D,
  TensorInfo,
} from '@tensorflow/tfjs-core';
