import type { DeviceName } from '../contract.js';
import type { Differentiable, Save, TransformerFunctions } from '../differentiable.js';
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
  linear: (save, x, weight, bias) => fused(save, 'Linear', { x, weight, bias }, () => ({ x, weight })),
  layerNorm: (save, x, scale, bias, epsilon) =>
    fused(
      save,
      'LayerNorm',
      { x, scale, bias },
      ([mean, inverseStd]) => ({ x, scale, mean, inverseStd }) as NamedTensors,
      { epsilon },
    ),
  normalise: (x, epsilon) => run('LayerNorm', { x }, { epsilon })[0] as Tensor,
  gelu: (save, x) => fused(save, 'Gelu', { x }, () => ({ x })),
  mlp: (save, x, weight1, bias1, weight2, bias2) =>
    fused(
      save,
      'Mlp',
      { x, weight1, bias1, weight2, bias2 },
      ([hidden]) => ({ x, weight1, weight2, hidden }) as NamedTensors,
    ),
  attention: (save, qkv, heads, queryOffset, bias) =>
    fused(
      save,
      'Attention',
      bias ? { qkv, bias } : { qkv },
      ([q, k, v, weights, attended]) => ({ q, k, v, weights, attended }) as NamedTensors,
      { heads, queryOffset },
      { hasBias: bias !== undefined },
    ),
};

/**
 * A function by two kernels, `kernel` and `kernel`Gradient. The first one's first output is the value.
 * @param keep what the gradient needs besides that of the value, of inputs and other outputs
 */
function fused(
  save: Save,
  kernel: string,
  inputs: NamedTensors,
  keep: (others: Tensor[]) => NamedTensors,
  attributes: object = {},
  gradientAttributes: object = {},
): Differentiable {
  const [value, ...others] = run(kernel, inputs, attributes) as [Tensor, ...Tensor[]];
  const kept = keep(others);
  const names = Object.keys(kept);
  save(Object.values(kept));
  return {
    value,
    gradFunc(dy, saved) {
      const tensors = Object.fromEntries(names.map((name, at) => [name, saved[at] as Tensor]));
      return run(`${kernel}Gradient`, { dy, ...tensors }, gradientAttributes);
    },
  };
}

function run(kernel: string, inputs: NamedTensors, attributes: object): Tensor[] {
  return tf.engine().runKernel(kernel, inputs, { ...attributes }) as Tensor[];
}
