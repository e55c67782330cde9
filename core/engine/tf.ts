import { createRequire } from 'node:module';
import type {} from '@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops.js';

const require = createRequire(import.meta.url);

type TensorFlow = typeof import('@tensorflow/tfjs-core');
let loaded: TensorFlow | undefined;

/** TensorFlow.js, with every gradient and chained method registered; loaded when it is first used, so that help does without. */
export const tf: TensorFlow = new Proxy({} as TensorFlow, {
  get(_, name) {
    loaded ??= require('./tfjs.cjs') as TensorFlow;
    return loaded[name as keyof TensorFlow];
  },
});

export type {
  BackendValues,
  DataId,
  DataType,
  KernelBackend,
  Scalar,
  Tensor,
  Tensor1D,
  Tensor2D,
  TensorInfo,
} from '@tensorflow/tfjs-core';
