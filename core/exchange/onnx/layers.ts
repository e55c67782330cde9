import { ELEMENT_TYPES } from '../../engine/onnx/model-format.js';
import { toFloat16 } from './float16.js';
import type { ModelGraph } from './graph.js';

/**
 * How matrix products are computed, and how their weights are stored.
 * - `fp32`: float32.
 * - `fp16`: both float16. What blocks add to, LayerNorm and softmax stay float32.
 * - `q8`: computed in float32, stored as int8 with a scale for each output.
 */
export const ONNX_PRECISIONS = ['fp32', 'fp16', 'q8'] as const;
export type OnnxPrecision = (typeof ONNX_PRECISIONS)[number];

/** Weights by the reference code's names. */
export type NamedWeights = ReadonlyMap<string, { shape: readonly number[]; data: Float32Array }>;

/** Records the layers of a network by the names of their weights; `x` and results are names of values. */
export type Layers = ReturnType<typeof layersOf>;

export function layersOf(graph: ModelGraph, weights: NamedWeights, precision: OnnxPrecision) {
  const type = precision === 'fp16' ? ('float16' as const) : ('float32' as const);
  const cast = (x: string, to: 'float32' | 'float16') => graph.add('Cast', [x], { to: ELEMENT_TYPES[to] });

  /** A weight as it is, in float32. */
  function weight(name: string): string {
    const { shape, data } = weightOf(weights, name);
    return graph.addWeight({ name, type: 'float32', shape, data: () => data });
  }

  /** A vector in the type of products. */
  function vector(name: string): string {
    if (type === 'float32') return weight(name);
    const { shape, data } = weightOf(weights, name);
    return graph.addWeight({ name, type, shape, data: () => toFloat16(data) });
  }

  /** A matrix [outputs, inputs] as the product with it wants it: [inputs, outputs]. */
  function matrix(name: string): string {
    const { shape, data } = weightOf(weights, name);
    const [outputs, inputs] = shape as [number, number];
    const turned = <Numbers extends Turnable>(numbers: Numbers) => transposed(numbers, outputs, inputs);
    const side = { shape: [inputs, outputs] };
    if (precision === 'fp32') return graph.addWeight({ name, type, ...side, data: () => turned(data) });
    if (precision === 'fp16') return graph.addWeight({ name, type, ...side, data: () => turned(toFloat16(data)) });
    const scales = () => scalesOf(data, outputs);
    const stored = [
      graph.addWeight({ name: `${name}_int8`, type: 'int8', ...side, data: () => turned(toInt8(data, scales())) }),
      graph.addWeight({ name: `${name}_scale`, type: 'float32', shape: [outputs], data: scales }),
    ];
    return graph.add('DequantizeLinear', stored, { axis: 1 }, name);
  }

  return {
    weight,
    /** A number in the type of products. */
    number: (value: number) => graph.number(value, type),
    /** A value of float32 in the type of products, and back. */
    narrow: (x: string) => (type === 'float32' ? x : cast(x, type)),
    widen: (x: string) => (type === 'float32' ? x : cast(x, 'float32')),
    /** LayerNorm of float32. */
    norm(name: string, x: string, epsilon: number, output?: string): string {
      const inputs = [x, weight(`${name}.weight`), weight(`${name}.bias`)];
      return graph.add('LayerNormalization', inputs, { axis: -1, epsilon: { float: epsilon } }, output);
    },
    /** x Wᵀ + b, in the type of products. */
    linear: (name: string, x: string) =>
      graph.add('Add', [graph.add('MatMul', [x, matrix(`${name}.weight`)]), vector(`${name}.bias`)]),
  };
}

/** A weight; one that is not there is a bug and named. */
function weightOf(weights: NamedWeights, name: string) {
  const found = weights.get(name);
  if (!found) throw new Error(`there is no weight '${name}'; there are ${[...weights.keys()].join(', ')}`);
  return found;
}

type Turnable = Float32Array | Uint16Array | Int8Array;

/** [rows, columns] -> [columns, rows] */
function transposed<Numbers extends Turnable>(numbers: Numbers, rows: number, columns: number): Numbers {
  const result = numbers.slice() as Numbers;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) result[column * rows + row] = numbers[row * columns + column];
  }
  return result;
}

/** For each row the number that 1 stands for, so that the largest becomes 127. */
function scalesOf(matrix: Float32Array, rows: number): Float32Array {
  const columns = matrix.length / rows;
  return Float32Array.from({ length: rows }, (_, row) => {
    let largest = 0;
    for (let at = row * columns; at < (row + 1) * columns; at++) largest = Math.max(largest, Math.abs(matrix[at]));
    return largest / 127 || 1;
  });
}

function toInt8(matrix: Float32Array, scales: Float32Array): Int8Array {
  const columns = matrix.length / scales.length;
  return Int8Array.from(matrix, (value, at) => Math.round(value / scales[Math.floor(at / columns)]));
}
