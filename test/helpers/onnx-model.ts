import { createRequire } from 'node:module';
import type { InferenceSession } from 'onnxruntime-common';
import { RUNTIME_FOLDER } from '../../core/engine/install/place.js';

const require = createRequire(import.meta.url);

/** A model opened by ONNX Runtime as other programs open it: with its own optimisations. */
export async function openModel(path: string) {
  process.env.ORT_DISABLE_TELEMETRY = '1';
  const { InferenceSession, Tensor }: typeof import('onnxruntime-common') = require(RUNTIME_FOLDER);
  const session: InferenceSession = await InferenceSession.create(path, { intraOpNumThreads: 1 });
  return {
    /** What it gives for images [B, 3, S, S]. */
    async run(images: Float32Array, dims: readonly number[]) {
      const results = await session.run({ pixel_values: new Tensor('float32', images, dims) });
      const [[name, { data, dims: shape }]] = Object.entries(results) as [[string, (typeof results)[string]]];
      return { name, shape: [...shape], data: data as Float32Array };
    },
    close: () => session.release(),
  };
}
