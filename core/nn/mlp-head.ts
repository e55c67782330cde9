import type { RandomStream } from '../base/random.js';
import { type Tensor, tf } from '../engine/tf.js';
import { normaliseRows } from './batch-norm.js';
import {
  initialValue,
  linearShapes,
  normShapes,
  type ParameterShapes,
  type Parameters,
  parameter,
} from './parameters.js';

/** Widths of a perceptron with batch norm, and which of its layers have what. */
export interface MlpHeadSize {
  readonly inputs: number;
  /** Of the hidden layers, the first one first. */
  readonly hidden: readonly number[];
  readonly outputs: number;
  /** Whether the last linear layer has a bias; default: it has. */
  readonly outputBias?: boolean;
  /** Whether the outputs are batch-normed as well, and scaled, but not moved; default: they are not. */
  readonly normsOutputs?: boolean;
}

/**
 * Parameters of the head: linear layers `fc1`, `fc2` ... and the batch norms after them, `norm1`, `norm2` ... Hidden layers have
 * no biases, which batch norm would take away.
 */
export function mlpHeadShapes(size: MlpHeadSize): ParameterShapes {
  const { outputBias = true, normsOutputs = false } = size;
  const widths = [size.inputs, ...size.hidden, size.outputs];
  const layers = widths.slice(1).map((outputs, at): ParameterShapes => {
    const [fc, norm] = [`fc${at + 1}`, `norm${at + 1}`];
    const isLast = at === size.hidden.length;
    const { [`${fc}.weight`]: weight, ...bias } = linearShapes(fc, widths[at], outputs);
    return {
      [`${fc}.weight`]: weight,
      ...(isLast && outputBias && bias),
      ...(!isLast && normShapes(norm, outputs)),
      ...(isLast && normsOutputs && { [`${norm}.weight`]: [outputs] }),
    };
  });
  return Object.assign({}, ...layers);
}

/**
 * A multilayer perceptron whose hidden layers are batch-normed and activated:
 *
 *   h ← activation(BN(W h)) for every layer but the last, then y = W h + b, batch-normed where it has a scale
 *
 * The parameters say which layers there are, and whether the last one has a bias and a norm. Batch norm takes the statistics of the rows that
 * are given, so that a loss over the whole batch has to apply it.
 * @param x [n, D]
 * @returns [n, K]
 */
export function applyMlpHead(parameters: Parameters, x: Tensor, activation: (x: Tensor) => Tensor = tf.relu): Tensor {
  const depth = Object.keys(parameters).filter((name) => /^fc\d+\.weight$/.test(name)).length;
  let h = x;
  for (let layer = 1; layer <= depth; layer++) {
    const { [`fc${layer}.bias`]: bias, [`norm${layer}.weight`]: scale, [`norm${layer}.bias`]: offset } = parameters;
    const product = tf.matMul(h, parameter(parameters, `fc${layer}.weight`), false, true);
    const y = bias ? product.add(bias) : product;
    const normed = scale ? normaliseRows(y, scale, offset ?? null) : y;
    h = layer < depth ? activation(normed) : normed;
  }
  return h;
}

/** First values of PyTorch's linear layers, uniform ±1 / √inputs, but biases 0; scales 1. */
export function initialMlpHead(name: string, shape: readonly number[], stream: RandomStream): Float32Array {
  const [outputs, inputs] = shape;
  if (inputs === undefined) return initialValue(name, shape, stream);
  return Float32Array.from({ length: outputs * inputs }, () => stream.uniform(-1, 1) / Math.sqrt(inputs));
}

/** Passes of the head for some rows of an image, as `cost.ts` counts them. */
export function mlpHeadProjections({ inputs, hidden, outputs }: MlpHeadSize, tokens: number) {
  const widths = [inputs, ...hidden, outputs];
  return widths.slice(1).map((width, at) => ({ tokens, inputs: widths[at], outputs: width }));
}
