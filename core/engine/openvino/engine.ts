import type { Engine, StartOptions } from '../contract.js';
import { availableCores } from '../machine.js';
import { startBackend } from '../onnx/engine.js';
import { updatesOnHost } from '../onnx/host-update.js';
import { replayed } from '../onnx/replay.js';
import { Sessions } from '../onnx/sessions.js';
import { OPENVINO_FORMS } from './forms.js';
import { loadOpenvino } from './library.js';
import { partsOn } from './parts.js';

/** What computes parts, by number of threads and precision. */
const knownParts = new Map<string, ReturnType<typeof partsOn>>();

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
  const key = `${threads} ${precision}`;
  const properties = {
    INFERENCE_PRECISION_HINT: precision === 'bfloat16' ? 'bf16' : 'f32',
    INFERENCE_NUM_THREADS: String(threads),
    NUM_STREAMS: '1',
    ENABLE_CPU_PINNING: 'NO',
  };
  const parts = knownParts.get(key) ?? partsOn(backend, openvino, properties);
  knownParts.set(key, parts);
  return {
    name: 'openvino',
    version: openvino.version,
    device: `CPU (OpenVINO${precision === 'bfloat16' ? ', bfloat16' : ''})`,
    threads,
    memory: { limit: null, kind: 'planned', of: 'machine' },
    compile: (fn) => replayed(backend, fn),
    ...parts,
    ...updatesOnHost(backend),
  };
}
