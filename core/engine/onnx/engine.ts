import { mapValues } from '../../base/map-values.js';
import type { Engine, StartOptions } from '../contract.js';
import { ownImageFunctions } from '../image-functions.js';
import { RUNTIME_VERSION } from '../install/place.js';
import { availableCores } from '../machine.js';
import { fusedFunctions } from '../plain-functions.js';
import { type TensorInfo, tf } from '../tf.js';
import { type Inputs, type KernelTable, OnnxBackend } from './backend.js';
import { reshaped } from './graph.js';
import { updatesOnHost } from './host-update.js';
import { ELEMENTWISE } from './kernels/elementwise.js';
import { ONNX_FORMS } from './kernels/forms.js';
import { type Forms, TRANSFORMER_FUNCTIONS, transformerKernels } from './kernels/fused.js';
import { IMAGE_FUNCTIONS, IMAGES } from './kernels/images.js';
import { REDUCE } from './kernels/reduce.js';
import { SHAPE } from './kernels/shape.js';
import { partsOn } from './parts.js';
import { replayed } from './replay.js';
import { Sessions } from './sessions.js';

/** The backends' names in TensorFlow.js, and what they compute on, for people. */
const BACKENDS = {
  cpu: { backend: 'onnx', device: 'CPU (ONNX Runtime)' },
  webgpu: { backend: 'onnx-webgpu', device: 'GPU (WebGPU, ONNX Runtime)' },
} as const;

/** Numbers of a layer that stay in a processor's cache. */
const CACHED = 1.25e6;

/** What computes parts, by backend and number of threads: a second start finds the thread of the first. */
const knownParts = new Map<string, ReturnType<typeof partsOn>>();

/** ONNX Runtime on the processor, or on a graphics card by WebGPU. README.md of the engines tells how it computes. */
export async function startOnnx(options: StartOptions): Promise<Engine> {
  const { threads = availableCores(), device = 'cpu' } = options;
  const { backend: name, device: described } = BACKENDS[device];
  const cachedNumbers = device === 'cpu' ? CACHED : Number.POSITIVE_INFINITY; // a graphics card gains nothing from tiles
  const backend = await startBackend(name, ONNX_FORMS, cachedNumbers, async () => {
    const sessions = new Sessions(threads, device);
    if (device === 'webgpu') await sessions.probe();
    return sessions;
  });
  const partThreads = device === 'cpu' ? threads : 1;
  const key = `${name} ${partThreads}`;
  const parts = knownParts.get(key) ?? partsOn(backend, partThreads);
  knownParts.set(key, parts);
  return {
    name: 'onnx',
    version: RUNTIME_VERSION,
    device: described,
    threads,
    memory: { limit: null, kind: 'planned', of: device === 'webgpu' ? 'card' : 'machine' },
    compile: (fn) => replayed(backend, fn),
    ...parts,
    ...updatesOnHost(backend),
  };
}

/**
 * Starts the backend that records graphs.
 * @param name in TensorFlow.js
 * @param cachedNumbers see `TransformerFunctions`
 * @param start makes what computes; called once
 */
export async function startBackend(
  name: string,
  forms: Forms,
  cachedNumbers: number,
  start: () => Promise<Sessions>,
): Promise<OnnxBackend> {
  tf.enableProdMode();
  if (!tf.findBackend(name)) {
    const sessions = await start();
    registerKernels(name, forms);
    fusedFunctions.set(name, { ...TRANSFORMER_FUNCTIONS, cachedNumbers });
    ownImageFunctions.set(name, IMAGE_FUNCTIONS);
    tf.registerBackend(name, () => new OnnxBackend(sessions));
  }
  if (!(await tf.setBackend(name))) throw new Error('the backend of ONNX Runtime did not start');
  return tf.backend() as OnnxBackend;
}

/** Registers all kernels for a backend; in place of those that are missing, one that says where it would go. */
function registerKernels(backendName: string, forms: Forms): void {
  const kernels: KernelTable = { ...ELEMENTWISE, ...SHAPE, ...REDUCE, ...IMAGES, ...transformerKernels(forms) };
  const documented = tf.getKernelsForBackend('cpu').map(({ kernelName }) => kernelName);
  for (const kernelName of new Set([...Object.keys(kernels), ...documented])) {
    tf.registerKernel({
      kernelName,
      backendName,
      kernelFunc: ({ inputs, attrs, backend: owner }) => {
        const kernel = kernels[kernelName];
        if (!kernel) {
          throw new Error(`the engine onnx has no kernel ${kernelName}; it would go into core/engine/onnx/kernels/`);
        }
        const backend = owner as OnnxBackend;
        const tensors = inputs as unknown as Record<string, TensorInfo>;
        // Optional inputs may be null.
        const values = mapValues(tensors, (tensor) => tensor && reshaped(backend.use(tensor), tensor.shape));
        const result = kernel(values as unknown as Inputs, attrs ?? {}, tensors, backend);
        if (Array.isArray(result)) return result.map((one) => backend.register(one));
        return 'dataId' in result ? result : backend.register(result);
      },
    });
  }
}
