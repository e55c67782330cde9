import type { DeviceName } from '../contract.js';
import type { TransformerFunctions } from '../differentiable.js';
import { type Tensor, tf } from '../tf.js';

/** Numbers of a layer that stay in a processor's cache. */
const CACHED = 1.25e6;

/** The functions of a transformer on a device; a graphics card gains nothing from parts that fit a processor's cache. */
export function functionsOn(device: DeviceName): TransformerFunctions {
  return device === 'cpu' ? { ...onnxFunctions, cachedNumbers: CACHED } : onnxFunctions;
}

/** In this engine's own kernels (`kernels/fused.ts`). */
const onnxFunctions: TransformerFunctions = {
  linear(save, x, weight, bias) {
    save([x, weight]);
    return {
      value: one('Linear', { x, weight, bias }),
      gradFunc: (dy, saved) => {
        const [x0, w0] = saved as [Tensor, Tensor];
        return all('LinearGradient', { dy, x: x0, weight: w0 });
      },
    };
  },

  layerNorm(save, x, scale, bias, epsilon) {
    const [value, mean, inverseDeviation] = all('LayerNorm', { x, scale, bias }, { epsilon }) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    save([x, scale, mean, inverseDeviation]);
    return {
      value,
      gradFunc: (dy, saved) => {
        const [x0, s, m, r] = saved as [Tensor, Tensor, Tensor, Tensor];
        return all('LayerNormGradient', { dy, x: x0, scale: s, mean: m, inverseDeviation: r });
      },
    };
  },

  normalise: (x, epsilon) => all('LayerNorm', { x }, { epsilon })[0] as Tensor,

  gelu(save, x) {
    save([x]);
    return {
      value: one('Gelu', { x }),
      gradFunc: (dy, saved) => [one('GeluGradient', { dy, x: saved[0] as Tensor })],
    };
  },

  mlp(save, x, weight1, bias1, weight2, bias2) {
    const [value, hidden] = all('Mlp', { x, weight1, bias1, weight2, bias2 }) as [Tensor, Tensor];
    save([x, weight1, weight2, hidden]);
    return {
      value,
      gradFunc: (dy, saved) => {
        const [x0, w1, w2, h] = saved as [Tensor, Tensor, Tensor, Tensor];
        return all('MlpGradient', { dy, x: x0, weight1: w1, weight2: w2, hidden: h });
      },
    };
  },

  attention(save, qkv, heads, queryOffset, bias) {
    const inputs: Record<string, Tensor> = bias ? { qkv, bias } : { qkv };
    const [value, ...parts] = all('Attention', inputs, { heads, queryOffset }) as [Tensor, ...Tensor[]];
    save(parts);
    return {
      value,
      gradFunc: (dy, saved) => {
        const [q, k, v, weights, attended] = saved as [Tensor, Tensor, Tensor, Tensor, Tensor];
        return all('AttentionGradient', { dy, q, k, v, weights, attended }, { hasBias: bias !== undefined });
      },
    };
  },
};

function one(kernel: string, inputs: Record<string, Tensor>, attributes = {}): Tensor {
  return tf.engine().runKernel(kernel, inputs, attributes) as Tensor;
}

function all(kernel: string, inputs: Record<string, Tensor>, attributes = {}): Tensor[] {
  return tf.engine().runKernel(kernel, inputs, attributes) as Tensor[];
}
