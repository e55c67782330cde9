import { toFloat16 } from '../../base/half.js';
import { ELEMENT_TYPES } from '../../engine/onnx/model-format.js';
import { EPSILON } from '../../nn/vit.js';
import type { EncoderTensors } from '../encoder-file.js';
import type { ModelGraph } from './graph.js';
import { scalesOf, toInt8, transposed } from './matrices.js';

/**
 * How the products of linear layers are computed.
 * - `fp32`: in float32.
 * - `fp16`: in float16, as is all of a block but LayerNorm, softmax and the sums of its branches, which are float32.
 * - `q8`: of whole numbers of 8 bits, with a scale for each token and each output. All else is float32.
 */
export const ONNX_PRECISIONS = ['fp32', 'fp16', 'q8'] as const;
export type OnnxPrecision = (typeof ONNX_PRECISIONS)[number];

export type Layers = ReturnType<typeof layersOf>;

/** What records the layers of a network by the names of their weights. `x` and results are names of values. */
export function layersOf(graph: ModelGraph, weights: EncoderTensors, precision: OnnxPrecision, epsilon = EPSILON) {
  const type = precision === 'fp16' ? ('float16' as const) : ('float32' as const);
  const cast = (x: string, to: 'float32' | 'float16') => graph.add('Cast', [x], { to: ELEMENT_TYPES[to] });
  const number = (value: number) => graph.number(value, type);

  /** A weight as it is, in float32. */
  function weight(name: string): string {
    const { shape, data } = weightOf(weights, name);
    return graph.addWeight({ name, type: 'float32', shape, data: () => data });
  }

  /** The same in the type of products. */
  function bias(name: string): string {
    if (type === 'float32') return weight(name);
    const { shape, data } = weightOf(weights, name);
    return graph.addWeight({ name, type, shape, data: () => toFloat16(data) });
  }

  /** x Wᵀ in the type of products; ONNX multiplies with the matrix [inputs, outputs]. */
  function product(name: string, x: string): string {
    const { shape, data } = weightOf(weights, name);
    const [outputs, inputs] = shape as [number, number];
    const turned = () => transposed(type === 'float16' ? toFloat16(data) : data, outputs, inputs);
    return graph.add('MatMul', [x, graph.addWeight({ name, type, shape: [inputs, outputs], data: turned })]);
  }

  /** x Wᵀ by whole numbers u and w: a row of x is s (u - 128) for its scale s, a row of W is w times its own scale. */
  function wholeProduct(name: string, x: string): string {
    const { shape, data } = weightOf(weights, name);
    const [outputs, inputs] = shape as [number, number];
    const whole = () => transposed(toInt8(data, outputs), outputs, inputs);
    const matrix = graph.addWeight({ name: `${name}_int8`, type: 'int8', shape: [inputs, outputs], data: whole });
    const scales = () => scalesOf(data, outputs);
    const outputScale = graph.addWeight({ name: `${name}_scale`, type: 'float32', shape: [outputs], data: scales });

    const largest = graph.add('ReduceMax', [graph.add('Abs', [x])], { axes: [-1], keepdims: 1 }); // [B, N, 1]
    const rowScale = graph.add('Max', [graph.add('Mul', [largest, number(1 / 127)]), number(1e-30)]); // for rows of zeros
    const zero = graph.number(128, 'uint8');
    const rounded = graph.add('QuantizeLinear', [graph.add('Div', [x, rowScale]), number(1), zero]);
    const sums = cast(graph.add('MatMulInteger', [rounded, matrix, zero]), 'float32');
    return graph.add('Mul', [graph.add('Mul', [sums, outputScale]), rowScale]);
  }

  return {
    weight,
    /** A number in the type of products. */
    number,
    /** A value of float32 in the type of products, and back. */
    narrow: (x: string) => (type === 'float32' ? x : cast(x, type)),
    widen: (x: string) => (type === 'float32' ? x : cast(x, 'float32')),
    /** LayerNorm of float32. */
    norm(name: string, x: string, output?: string): string {
      const inputs = [x, weight(`${name}.weight`), weight(`${name}.bias`)];
      return graph.add('LayerNormalization', inputs, { axis: -1, epsilon: { float: epsilon } }, output);
    },
    /** x Wᵀ + b, in the type of products. */
    linear(name: string, x: string): string {
      const multiply = precision === 'q8' ? wholeProduct : product;
      return graph.add('Add', [multiply(`${name}.weight`, x), bias(`${name}.bias`)]);
    },
  };
}

/** A weight; one that is not there is a bug and named. */
function weightOf(weights: EncoderTensors, name: string) {
  const found = weights.get(name);
  if (!found) throw new Error(`there is no weight '${name}'; there are ${[...weights.keys()].join(', ')}`);
  return found;
}
