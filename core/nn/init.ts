import type { RandomStream } from '../base/random.js';
import type { Initialisation } from './sizes.js';

/**
 * First values of a parameter: linear weights, the patch projection and tokens truncated normal (std 0.02), biases 0,
 * LayerNorm scales 1.
 */
export function initialValue(
  name: string,
  shape: readonly number[],
  stream: RandomStream,
  initialisation: Initialisation = 'scaled',
): Float32Array {
  const data = new Float32Array(shape.reduce((product, side) => product * side, 1));
  if (name.endsWith('bias')) return data;
  if (shape.length === 1) return data.fill(1);
  const std = initialisation === 'scaled' ? 0.02 / residualDivisor(name) : 0.02;
  return data.map(() => truncatedNormal(stream) * std);
}

function residualDivisor(name: string): number {
  const match = /blocks\.(\d+)\.(attn\.proj|mlp\.fc2)\.weight$/.exec(name);
  return match ? Math.sqrt(2 * (Number(match[1]) + 1)) : 1;
}

/** A standard normal number cut at ±100 standard deviations: the reference cuts 0.02-wide weights at an absolute ±2. */
function truncatedNormal(stream: RandomStream): number {
  const value = stream.normal();
  return Math.abs(value) <= 100 ? value : truncatedNormal(stream);
}
