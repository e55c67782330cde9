import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { calledDirectly, type EngineStarter, oneAtATime } from './contract.js';
import { tf } from './tf.js';
import { accumulate, updateParameter } from './update.js';
import { installFastMatMul } from './wasm-matmul.js';

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
      threads: getThreadsCount() > 0 ? getThreadsCount() : 1,
      memory: { limit: MEMORY_BYTES, kind: 'stepwise', of: 'machine' },
      compile: calledDirectly,
      ...oneAtATime,
      updateParameter,
      accumulate,
    };
  },
};
