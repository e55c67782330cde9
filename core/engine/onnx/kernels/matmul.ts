import { MICROSOFT, record, type Value } from '../graph.js';
import { add, unary } from './elementwise.js';
import { broadcast, type KernelTable } from './table.js';

/** Products of matrices. */

export interface ProductOptions {
  transposeA?: boolean;
  transposeB?: boolean;
  /** Multiplies the product. */
  alpha?: number;
}

/** Products of the last two axes; those before are batches, with broadcasting. */
export function batchMatMul(a: Value, b: Value, options: ProductOptions = {}): Value {
  const { transposeA = false, transposeB = false, alpha = 1 } = options;
  const rows = a.shape.at(transposeA ? -1 : -2) as number;
  const columns = b.shape.at(transposeB ? -2 : -1) as number;
  const shape = [...broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2)), rows, columns];
  if (!transposeA && !transposeB && alpha === 1) return record('MatMul', [a, b], shape);
  const attributes = { alpha: { float: alpha }, transA: Number(transposeA), transB: Number(transposeB) };
  return record('FusedMatMul', [a, b], shape, 'float32', attributes, MICROSOFT);
}

/** a b of two matrices. */
export function gemm(a: Value, b: Value): Value {
  return record('Gemm', [a, b], [a.shape[0] as number, b.shape[1] as number]);
}

/** x Wᵀ + b of rows: x [M, I], weight [O, I], bias [O] -> [M, O] */
export function linear(x: Value, weight: Value, bias: Value): Value {
  const shape = [x.shape[0] as number, weight.shape[0] as number];
  return record('Gemm', [x, weight, bias], shape, 'float32', { transB: 1 });
}

export const MATMUL: KernelTable = {
  BatchMatMul: ({ a, b }, attributes) => batchMatMul(a, b, attributes),
  _FusedMatMul: ({ a, b, bias }, attributes) => {
    const { activation } = attributes;
    const product = bias ? add(batchMatMul(a, b, attributes), bias) : batchMatMul(a, b, attributes);
    if (!activation || activation === 'linear') return product;
    if (activation === 'relu') return unary('Relu', product);
    if (activation === 'sigmoid') return unary('Sigmoid', product);
    throw new Error(`the engine onnx has no fused product with the activation ${activation}`);
  },
};
