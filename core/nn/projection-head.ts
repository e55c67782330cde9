import { gelu } from '../engine/functions.js';
import { type Tensor, tf } from '../engine/tf.js';
import { linearShapes, type ParameterShapes, type Parameters, parameter } from './parameters.js';
import { project } from './vit.js';

/** Added to squared lengths, so that rows of zeros have a gradient: PyTorch divides by 1e-12 at least. */
const EPSILON = 1e-24;

/** Widths of the head: D inputs, H hidden, E of the bottleneck, K outputs. */
export interface HeadSize {
  inputs: number;
  hidden: number;
  bottleneck: number;
  outputs: number;
  /** Whether the lengths of the last layer's rows are learned; they are 1 otherwise. */
  learnsLengths: boolean;
}

/** Parameters before the last layer, by the names of the official code. */
export function mlpShapes({ inputs, hidden, bottleneck }: HeadSize): ParameterShapes {
  return {
    ...linearShapes('mlp.0', inputs, hidden),
    ...linearShapes('mlp.2', hidden, hidden),
    ...linearShapes('mlp.4', hidden, bottleneck),
  };
}

/** Parameters of the last layer: directions v of its rows, and their lengths g where they are learned. */
export function lastLayerShapes({ bottleneck, outputs, learnsLengths }: HeadSize): ParameterShapes {
  return { weight_v: [outputs, bottleneck], ...(learnsLengths && { weight_g: [outputs, 1] }) };
}

/**
 * The projection head (Caron et al. 2021, section 3.1 and appendix C): three linear layers with GELU between them, rows
 * scaled to length 1, then a last layer whose rows are g v / ‖v‖ (Salimans & Kingma 2016), g = 1 or learned; no batch norm.
 * @param x [B, D]
 * @returns [B, K]
 */
export function applyHead(mlp: Parameters, lastLayer: Parameters, x: Tensor): Tensor {
  const first = gelu(project(mlp, 'mlp.0', x)); // [B, H]
  const second = gelu(project(mlp, 'mlp.2', first)); // [B, H]
  const directions = unit(parameter(lastLayer, 'weight_v')); // [K, E]
  const lengths = lastLayer.weight_g; // [K, 1]
  const weight = lengths ? directions.mul(lengths) : directions;
  return tf.matMul(unit(project(mlp, 'mlp.4', second)), weight, false, true);
}

/**
 * Passes of the head for some tokens of an image, as `cost.ts` counts them.
 * @param held arrays of its outputs that a step holds at once
 */
export function headProjections({ inputs, hidden, bottleneck, outputs }: HeadSize, tokens: number, held: number) {
  return [
    { tokens, inputs, outputs: hidden },
    { tokens, inputs: hidden, outputs: hidden },
    { tokens, inputs: hidden, outputs: bottleneck },
    { tokens, inputs: bottleneck, outputs, held },
  ];
}

/** Rows of length 1: x / √(Σ x² + ε). */
export function unit(x: Tensor): Tensor {
  return x.div(x.square().sum(1, true).add(EPSILON).sqrt());
}
