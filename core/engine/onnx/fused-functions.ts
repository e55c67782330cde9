import type { DeviceName } from '../contract.js';
import type { Differentiable, TransformerFunctions } from '../plain-functions.js';
import { type Tensor, tf } from '../tf.js';

/** Numbers of a layer that stay in a processor's cache. */
const CACHED = 1.25e6;

/** The functions of a transformer on a device; a graphics card gains nothing from tiles that fit a processor's cache. */
export function functionsOn(device: DeviceName): TransformerFunctions {
  return device === 'cpu' ? { ...onnxFunctions, cachedNumbers: CACHED } : onnxFunctions;
}

type NamedTensors = Readonly<Record<string, Tensor>>;

/** In this engine's own kernels (`kernels/fused.ts`). */
const onnxFunctions: TransformerFunctions = {
  linear: (x, weight, bias) => fused('Linear', { x, weight, bias }, ['x', 'weight']),
  layerNorm: (x, scale, bias, epsilon) =>
    fused('LayerNorm', { x, scale, bias }, ['x', 'scale'], ['mean', 'inverseStd'], { epsilon }),
  normalise: (x, epsilon) => run('LayerNorm', { x }, { epsilon })[0] as Tensor,
  gelu: (x) => fused('Gelu', { x }, ['x']),
  mlp: (x, weight1, bias1, weight2, bias2) =>
    fused('Mlp', { x, weight1, bias1, weight2, bias2 }, ['x', 'weight1', 'weight2'], ['hidden']),
  attention(qkv, heads, queryOffset, bias) {
    const attributes = { heads, queryOffset, hasBias: bias !== undefined };
    return fused('Attention', bias ? { qkv, bias } : { qkv }, [], ['q', 'k', 'v', 'weights', 'attended'], attributes);
  },
};

/**
 * A function by two kernels, `kernel` and `kernel`Gradient, which take the same attributes. The first one's first output is
 * the value.
 * @param kept inputs that the gradient needs besides that of the value
 * @param others names of the other outputs, all of which it needs
 */
function fused(
  kernel: string,
  inputs: NamedTensors,
  kept: readonly string[],
  others: readonly string[] = [],
  attributes: object = {},
): Differentiable {
  const [value, ...rest] = run(kernel, inputs, attributes) as [Tensor, ...Tensor[]];
  const names = [...kept, ...others];
  return {
    value,
    saved: [...kept.map((name) => inputs[name] as Tensor), ...rest],
    gradFunc(dy, saved) {
      const tensors = Object.fromEntries(names.map((name, at) => [name, saved[at] as Tensor]));
      return run(`${kernel}Gradient`, { dy, ...tensors }, attributes);
    },
  };
}

function run(kernel: string, inputs: NamedTensors, attributes: object): Tensor[] {
  return tf.engine().runKernel(kernel, inputs, { ...attributes }) as Tensor[];
}
