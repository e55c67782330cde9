import type { RandomStream } from '../base/random.js';
import { initialValue, lengthOf } from '../nn/parameters.js';
import type { Initialisation } from '../nn/sizes.js';
import type { NetworkSpec } from './method.js';

/** The usual first values, as the option `init` names them. */
export function usualValues({ init }: { init: Initialisation }): Required<NetworkSpec>['init'] {
  return (name, shape, stream) => initialValue(name, shape, stream, init);
}

/** Xavier's uniform numbers ±√(6 / (inputs + outputs)) for a linear weight, or a convolution's as one, [outputs, ...]. */
export function xavierUniform(shape: readonly number[], stream: RandomStream): Float32Array {
  const data = new Float32Array(lengthOf(shape));
  const [outputs = 1] = shape;
  const limit = Math.sqrt(6 / (outputs + data.length / outputs));
  return data.map(() => stream.uniform(-limit, limit));
}

/**
 * First values as in BEiT's official code and what is made from it: normal with a standard deviation of 0.02, cut at one
 * deviation; the second layers of block i (from 1) divided by √(2i), biases and relative positions 0, scales 1.
 * @param layerScale first value of layer scale
 */
export function beitValue(name: string, shape: readonly number[], stream: RandomStream, layerScale: number) {
  const data = new Float32Array(lengthOf(shape));
  if (name.endsWith('bias') || name.endsWith('bias_table')) return data;
  if (/gamma_[12]$/.test(name)) return data.fill(layerScale);
  if (shape.length === 1) return data.fill(1);
  const block = /blocks\.(\d+)\.(attn\.proj|mlp\.fc2)\.weight$/.exec(name);
  const std = 0.02 / (block ? Math.sqrt(2 * (Number(block[1]) + 1)) : 1);
  return data.map(() => std * cutNormal(stream));
}

/** A standard normal number within ±1. */
function cutNormal(stream: RandomStream): number {
  const value = stream.normal();
  return Math.abs(value) <= 1 ? value : cutNormal(stream);
}
