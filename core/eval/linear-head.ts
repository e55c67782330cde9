import type { FeatureKind } from '../contract/data-sets.js';
import { type Tensor, tf } from '../engine/tf.js';
import { EPSILON, type GroupState, type HeadGroup } from './head-group.js';
import type { Inputs } from './samples.js';

/*
 * A trained head as one linear map, for use on features as an encoder gives them.
 *
 * Letters: K width of the features, C classes.
 */

/** logits = (x - mean) Wᵀ + b, of features x as they are. */
export interface LinearHead {
  readonly features: FeatureKind;
  /** [K] */
  readonly mean: Float32Array;
  /** W [C, K] */
  readonly weight: Float32Array;
  /** b [C] */
  readonly bias: Float32Array;
}

/**
 * What a head of a group does in testing, as one linear map. Features x are standardised, (x - m) s; normalised by batch
 * norm's running statistics μ, σ² with its scale γ and shift β; decorrelated by A; then the linear layer V, c follows. As γ
 * and β stand after A here (see `groupGradient`), with r = 1 / √(σ² + ε):
 *
 *   mean = m + μ / s;  W = V diag(γ) Aᵀ diag(s r);  b = c + V β
 *
 * What a protocol leaves out is 1, or 0. A feature that did not vary, s = 0, has no weight.
 * @param at the head's place in its group
 * @param standardiser of all columns [L D], of which the group sees the last ones
 */
export async function linearHead(
  { features, width, classes, decorrelation }: HeadGroup,
  { weight, bias, norm }: GroupState,
  at: number,
  standardiser: Inputs['standardiser'],
): Promise<LinearHead> {
  const kept = tf.tidy(() => {
    const ofHead = (all: Tensor) => all.slice([at, 0], [1, all.shape[1] ?? 0]); // [G, n] -> [1, n]
    const own = ofHead(weight.value).reshape([classes, width]);
    const scaled = norm ? own.mul(ofHead(norm.scale.value)) : own;
    const shifted = norm ? ofHead(bias.value).add(own.mul(ofHead(norm.shift.value)).sum(1)) : ofHead(bias.value);
    return [decorrelation ? tf.matMul(scaled, decorrelation, false, true) : scaled.clone(), shifted.clone()];
  });
  const [weights, biases] = await Promise.all(kept.map((tensor) => tensor.data()));
  tf.dispose(kept);
  const [running, variance] = norm ? [await norm.running.mean.data(), await norm.running.variance.data()] : [];
  const first = standardiser ? standardiser.mean.length - width : 0;
  const scaleOf = (k: number) => standardiser?.scale[first + k] ?? 1;
  const mean = Float32Array.from({ length: width }, (_, k) => {
    const scale = scaleOf(k);
    const moved = running && scale !== 0 ? running[k] / scale : 0;
    return (standardiser?.mean[first + k] ?? 0) + moved;
  });
  const factors = Float64Array.from({ length: width }, (_, k) =>
    variance ? scaleOf(k) / Math.sqrt(variance[k] + EPSILON) : scaleOf(k),
  );
  const folded = Float32Array.from(weights, (value, i) => value * factors[i % width]);
  return { features, mean, weight: folded, bias: Float32Array.from(biases) };
}

/**
 * The probabilities of the classes, softmax of the logits.
 * @param x features [K]
 * @returns [C], whose sum is 1
 */
export function classProbabilities({ mean, weight, bias }: LinearHead, x: Float32Array): Float64Array {
  const centred = x.map((value, k) => value - mean[k]);
  const logits = Float64Array.from(bias, (start, c) => {
    const row = weight.subarray(c * x.length, (c + 1) * x.length);
    return start + row.reduce((sum, value, k) => sum + value * centred[k], 0);
  });
  const largest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - largest));
  const sum = powers.reduce((all, power) => all + power, 0);
  return powers.map((power) => power / sum);
}
