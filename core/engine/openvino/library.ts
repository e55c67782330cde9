import type { KoffiFunc } from 'koffi';
import { reasonOf } from '../../base/errors.js';
import { commandName } from '../../base/program.js';
import { hasOpenvino, OPENVINO_VERSION, openvinoLibraries } from '../install/place.js';
import type { Shape, ValueData, ValueType } from '../onnx/graph.js';

/* OpenVINO's C library, by the names and types of its header files. */

/** Numbers of element types in OpenVINO (ov_element_type_e). */
const ELEMENT_TYPES: Readonly<Record<ValueType, number>> = { bool: 1, float32: 4, int32: 9, int64: 10 };

/** Settings of a compiled model, by OpenVINO's names. */
export type Properties = Readonly<Record<string, string>>;

type Handle = bigint;
type Status = number;

/** Arrays that a model reads or writes, each with its shape. */
type HostTensor = { data: ValueData; shape: Shape; type: ValueType };

export type OpenVino = Awaited<ReturnType<typeof loadOpenvino>>;
export type CompiledModel = Awaited<ReturnType<OpenVino['compile']>>;
export type InferRequest = ReturnType<CompiledModel['createRequest']>;

let library: ReturnType<typeof load> | null = null;

/**
 * Loads the library, once.
 * @throws Error if it is not there or does not load; its message is the reason
 */
export function loadOpenvino(): ReturnType<typeof load> {
  library ??= load().catch((error: unknown) => {
    library = null; // it may be installed in the meantime
    throw error;
  });
  return library;
}

async function load() {
  if (!hasOpenvino()) throw new Error(`OpenVINO is not installed; get it by: ${commandName()} engine install openvino`);
  const { default: koffi } = await import('koffi').catch((error: unknown) => {
    throw new Error(`the package koffi, which calls OpenVINO, does not load: ${reasonOf(error)}`, { cause: error });
  });
  limitHeap(koffi);
  const functions = declare(koffi, openvinoLibraries());
  const { lastMessage, errorText } = functions;

  /** @throws Error with what the library says */
  function check(status: Status, what: string): void {
    if (status !== 0) throw new Error(`OpenVINO ${what}: ${lastMessage() || errorText(status)}`);
  }
  function made(make: (out: [Handle | null]) => Status, what: string): Handle {
    const out: [Handle | null] = [null];
    check(make(out), what);
    return out[0] as Handle;
  }
  const core = made((out) => functions.createCore(out), 'does not start');

  /** A tensor over an array's own memory, which has to stay where it is as long as the tensor is used. */
  function tensorOver({ data, shape, type }: HostTensor): Handle {
    const sides = { rank: shape.length, dims: BigInt64Array.from(shape, BigInt) };
    const address = koffi.address(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    return made((out) => functions.tensorOver(ELEMENT_TYPES[type], sides, address, out), 'takes no tensor');
  }

  return {
    version: OPENVINO_VERSION,

    /** What the processor is said to compute well: 'FP32', 'BF16', ... */
    capabilities(): string[] {
      const out: [string | null] = [null];
      check(functions.getProperty(core, 'CPU', 'OPTIMIZATION_CAPABILITIES', out), 'does not tell what it can');
      return (out[0] ?? '').split(' ');
    },

    /** Compiles a model in ONNX's file format, beside the event loop. */
    async compile(model: Uint8Array, properties: Properties) {
      const read = made((out) => functions.readModel(core, model, model.length, null, out), 'does not read a graph');
      const settings = Object.entries(properties).map(([key, value]) => ({ key, value }));
      const out: [Handle | null] = [null];
      const status = await later(functions.compileModel, core, read, 'CPU', settings.length, settings, out);
      functions.freeModel(read);
      check(status, 'does not compile a graph');
      const compiled = out[0] as Handle;
      return {
        createRequest() {
          const request = made((handle) => functions.createRequest(compiled, handle), 'makes no request');
          const allBound: { data: ValueData; shape: Shape; tensor: Handle }[][] = [];
          const bind = (set: typeof functions.setInput) => {
            const bound: (typeof allBound)[number] = [];
            allBound.push(bound);
            return (index: number, given: HostTensor) => {
              const known = bound[index];
              if (known?.data === given.data && known.shape === given.shape) return;
              const tensor = tensorOver(given);
              check(set(request, index, tensor), `takes no tensor ${index} of ${given.type}[${given.shape}]`);
              if (known) functions.freeTensor(known.tensor);
              bound[index] = { ...given, tensor };
            };
          };
          return {
            /** Has the model read its input number `index` from an array. */
            bindInput: bind(functions.setInput),
            /** Has the model write its output number `index` into an array. */
            bindOutput: bind(functions.setOutput),
            /** Runs the model, beside the event loop. */
            infer: async () => check(await later(functions.infer, request), 'does not run a graph'),
            free() {
              functions.freeRequest(request);
              for (const { tensor } of allBound.flat()) functions.freeTensor(tensor);
            },
          };
        },
        free: () => functions.freeCompiled(compiled),
      };
    },
  };
}

/**
 * Has the C library of Linux ask the system for the memory of larger arrays, and give it back to the system, where it would
 * otherwise come to keep blocks of up to 32 MiB for itself: what OpenVINO frees from one shape to the next then serves no
 * other, and takes up to twice as much.
 */
function limitHeap(koffi: typeof import('koffi').default): void {
  if (process.platform !== 'linux') return;
  const M_MMAP_THRESHOLD = -3;
  try {
    koffi.load(null).func('int mallopt(int parameter, int value)')(M_MMAP_THRESHOLD, 2 ** 18);
  } catch {} // other C libraries than glibc do not have it, nor the need for it
}

/** Calls a function in another thread. */
function later(call: KoffiFunc<(...args: never[]) => Status>, ...args: unknown[]): Promise<Status> {
  return new Promise((resolve, reject) => {
    const answer = (error: unknown, status: Status) => (error ? reject(error as Error) : resolve(status));
    call.async(...(args as never[]), answer);
  });
}

function declare(koffi: typeof import('koffi').default, libraries: readonly string[]) {
  const own = libraries.at(-1) as string;
  // Each is found by those that are loaded after it.
  if (process.platform !== 'win32') {
    const RTLD_NOW = 2;
    const RTLD_GLOBAL = process.platform === 'darwin' ? 8 : 0x100;
    const open = koffi.load(null).func('void *dlopen(const char *file, int flags)');
    const reason = koffi.load(null).func('const char *dlerror()');
    for (const path of libraries) {
      if (!open(path, RTLD_NOW | RTLD_GLOBAL)) throw new Error(reason());
    }
  }
  const library = koffi.load(own);
  koffi.struct('ov_property_t', { key: 'const char *', value: 'const char *' });
  koffi.struct('ov_shape_t', { rank: 'int64_t', dims: 'int64_t *' });
  const declared = (name: string, parameters: string, result = 'int') =>
    library.func(`${result} ${name}(${parameters})`);
  return {
    errorText: declared('ov_get_error_info', 'int status', 'const char *'),
    lastMessage: declared('ov_get_last_err_msg', '', 'const char *'),
    createCore: declared('ov_core_create', '_Out_ void **core'),
    getProperty: declared(
      'ov_core_get_property',
      'void *core, const char *device, const char *key, _Out_ char **value',
    ),
    readModel: declared(
      'ov_core_read_model_from_memory_buffer',
      'void *core, const uint8_t *text, size_t length, void *weights, _Out_ void **model',
    ),
    compileModel: declared(
      'ov_core_compile_model_props',
      'void *core, void *model, const char *device, size_t count, ov_property_t *properties, _Out_ void **compiled',
    ),
    createRequest: declared('ov_compiled_model_create_infer_request', 'void *compiled, _Out_ void **request'),
    tensorOver: declared(
      'ov_tensor_create_from_host_ptr',
      'int type, ov_shape_t shape, void *data, _Out_ void **tensor',
    ),
    setInput: declared('ov_infer_request_set_input_tensor_by_index', 'void *request, size_t index, void *tensor'),
    setOutput: declared('ov_infer_request_set_output_tensor_by_index', 'void *request, size_t index, void *tensor'),
    infer: declared('ov_infer_request_infer', 'void *request'),
    freeModel: declared('ov_model_free', 'void *model', 'void'),
    freeCompiled: declared('ov_compiled_model_free', 'void *compiled', 'void'),
    freeRequest: declared('ov_infer_request_free', 'void *request', 'void'),
    freeTensor: declared('ov_tensor_free', 'void *tensor', 'void'),
  };
}
