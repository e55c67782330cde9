import type { Engine, StartOptions } from '../contract.js';
import { availableCores } from '../machine.js';
import { startBackend } from '../onnx/engine.js';
import { updatesOnHost } from '../onnx/host-update.js';
import { replayed } from '../onnx/replay.js';
import { Sessions } from '../onnx/sessions.js';
import { OPENVINO_FORMS } from './forms.js';
import { loadOpenvino } from './library.js';
import { partsOn } from './parts.js';

/** Fitted to the peaks of three models up to 384 wide, whose masks were drawn anew for 40 steps and more. */
const VARYING = {
  float32: { bytes: 350 * 2 ** 20, factor: 2.5 },
  bfloat16: { bytes: 350 * 2 ** 20, factor: 2 },
};

/**
 * Kernels, each for one combination of shapes, that are kept: more make steps 2% faster where masks vary, and take 400 MiB
 * with the library's own 5000.
 */
const KEPT_KERNELS = '1000';

/** What the engine that was started last has compiled: no other one is active. */
let earlier: { free(): void } | null = null;

/**
 * OpenVINO on the processor: it runs the graphs of networks, which are recorded as those of the engine onnx; what is
 * computed between them is left to ONNX Runtime.
 */
export async function startOpenvino(options: StartOptions): Promise<Engine> {
  const { threads = availableCores(), precision = 'float32' } = options;
  const openvino = await loadOpenvino();
  if (precision === 'bfloat16' && !openvino.capabilities().includes('BF16')) {
    throw new Error('this processor does not compute in bfloat16 (it would need AVX-512 BF16, AMX, or the like)');
  }
  const backend = await startBackend(
    'openvino',
    OPENVINO_FORMS,
    Number.POSITIVE_INFINITY,
    async () => new Sessions(threads),
  );
  const properties = {
    INFERENCE_PRECISION_HINT: precision === 'bfloat16' ? 'bf16' : 'f32',
    INFERENCE_NUM_THREADS: String(threads),
    NUM_STREAMS: '1',
    ENABLE_CPU_PINNING: 'NO',
    CPU_RUNTIME_CACHE_CAPACITY: KEPT_KERNELS,
  };
  earlier?.free();
  const { free: freeModels, ...parts } = partsOn(backend, openvino, properties);
  earlier = { free: freeModels };
  return {
    name: 'openvino',
    version: openvino.version,
    device: `CPU (OpenVINO${precision === 'bfloat16' ? ', bfloat16' : ''})`,
    threads,
    memory: { limit: null, kind: 'planned', of: 'machine', varying: VARYING[precision] },
    compile: (fn) => replayed(backend, fn),
    ...parts,
    ...updatesOnHost(backend),
    free: () =>
      backend.inTurn(async () => {
        freeModels();
        await backend.sessions.free();
      }),
  };
}
