import { setFlagsFromString } from 'node:v8';
import { reasonOf, UserError } from '../base/errors.js';
import { commandName } from '../base/program.js';
import { ENGINE_NAMES, type Engine, type EngineChoice, type EngineName, type StartOptions } from './contract.js';
import { saysOutOfMemory } from './memory.js';
import { type Tensor, tf } from './tf.js';
import { startCpu, startTensorflow, startTensorflowGpu, startWasm } from './tfjs-engines.js';

/** Each throws where its engine is not there, saying why. Engines of many modules are imported when they are tried. */
const STARTERS: Record<EngineName, (options: StartOptions) => Promise<Engine>> = {
  'tensorflow-gpu': startTensorflowGpu,
  openvino: async (options) => (await import('./openvino/engine.js')).startOpenvino(options),
  onnx: async (options) => (await import('./onnx/engine.js')).startOnnx(options),
  tensorflow: startTensorflow,
  wasm: startWasm,
  cpu: startCpu,
};

/**
 * Part by which V8's heap may grow before all garbage is collected, in percent; V8's own choice is up to 300. A training step
 * leaves some hundred small objects, each with the memory of a tensor behind it; left to itself V8 lets them pile up for
 * hundreds of steps, and the process takes a fifth more memory. Collecting takes some milliseconds every second.
 */
const HEAP_GROWTH = 25;

/** Side of the matrices whose product is timed. */
const SIDE = 512;
/** Milliseconds after which no further try is made. */
const PATIENCE = 500;

/** An engine that was looked for: present, or absent for a reason. */
export type EngineStatus =
  | { name: EngineName; present: true; engine: Engine }
  | { name: EngineName; present: false; reason: string };

/**
 * Starts an engine and makes it the active one.
 *
 * `auto` takes the fastest that is present: one that is absent, or whose native part does not load, is passed over; a warning
 * says what would make a slow one needless.
 * @throws UserError if an engine was asked for by name and is not there.
 */
export async function startEngine(choice: EngineChoice, options: StartOptions = {}): Promise<Engine> {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWTH}`);
  const onCard = options.device === 'webgpu';
  if (onCard && choice !== 'auto' && choice !== 'onnx') {
    throw new UserError(`the engine ${choice} cannot compute on the device webgpu`, {
      expected: 'the engine onnx, or auto',
      remedy: 'use --engine onnx --device webgpu, or leave --device out',
    });
  }
  const inBfloat16 = options.precision === 'bfloat16';
  if (inBfloat16 && (onCard || (choice !== 'auto' && choice !== 'openvino'))) {
    throw new UserError(`${onCard ? 'the device webgpu' : `the engine ${choice}`} does not compute in bfloat16`, {
      expected: 'the engine openvino, or auto, on the processor',
      remedy: 'use --engine openvino --precision bfloat16, or leave --precision out',
    });
  }
  if (choice === 'auto' && !onCard && !inBfloat16) return startFastest(options);
  const status = await tryEngine(choice !== 'auto' ? choice : onCard ? 'onnx' : 'openvino', options);
  if (status.present) return status.engine;
  if (inBfloat16) {
    throw new UserError(`bfloat16 is not available: ${status.reason}`, {
      expected: 'the engine openvino, and a processor with AVX-512 BF16 or AMX',
      remedy: `leave --precision out to compute in float32; ${commandName()} engine list tells which engines there are`,
    });
  }
  if (onCard) {
    throw new UserError(`the device webgpu is not available: ${status.reason}`, {
      expected: 'a graphics card with a driver for Vulkan, Metal or Direct3D 12',
      remedy: 'install the driver of the graphics card, or leave --device out to compute on the processor',
    });
  }
  throw new UserError(`the engine ${choice} is not available: ${status.reason}`, {
    expected: `an engine that is installed on this machine, out of ${ENGINE_NAMES.join(', ')}`,
    remedy: saysOutOfMemory(status.reason)
      ? 'allow the process more memory; WebAssembly reserves many GB of addresses, which `ulimit -v` must not forbid'
      : 'use --engine auto, which takes the fastest one that is there',
  });
}

/** Tries to start one engine; its absence is an answer, not an error. */
export async function tryEngine(name: EngineName, options: StartOptions = {}): Promise<EngineStatus> {
  try {
    return { name, present: true, engine: await STARTERS[name](options) };
  } catch (error) {
    return { name, present: false, reason: reasonOf(error) };
  }
}

/** How fast an engine multiplies matrices: the best of some tries, in 10⁹ operations a second. */
export async function measureMatMul(engine: Engine): Promise<number> {
  // The sum keeps the product from being copied out, which is no part of the multiplication.
  const product = engine.compileParts((a: Tensor, b: Tensor) => tf.tidy(() => tf.matMul(a, b).sum()));
  const [a, b] = [tf.ones([SIDE, SIDE]), tf.ones([SIDE, SIDE])];
  let best = Number.POSITIVE_INFINITY;
  const begun = performance.now();
  while (performance.now() - begun < PATIENCE) {
    const started = performance.now();
    for await (const sum of product(a, [b])) {
      await sum.data();
      sum.dispose();
    }
    best = Math.min(best, performance.now() - started);
  }
  tf.dispose([a, b]);
  return (2 * SIDE ** 3) / best / 1e6;
}

async function startFastest(options: StartOptions): Promise<Engine> {
  const reasons = new Map<EngineName, string>();
  for (const name of ENGINE_NAMES) {
    const status = await tryEngine(name, options);
    const missed = reasons.get('onnx');
    if (status.present) {
      if (missed !== undefined && ['wasm', 'cpu'].includes(name)) {
        console.warn(`engine     ${name}, many times slower than onnx, which is not there: ${missed}`);
      }
      return status.engine;
    }
    reasons.set(name, status.reason);
  }
  throw new Error(['no engine could be started', ...[...reasons].map((each) => each.join(': '))].join('\n'));
}
