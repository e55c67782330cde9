import { mapValues } from '../base/map-values.js';
import { batchNorm } from '../engine/image-functions.js';
import { type Tensor, tf } from '../engine/tf.js';
import { type ParameterShapes, type Parameters, parameter } from './parameters.js';

/*
 * Batch norm as PyTorch's modules have it. While a network learns, channels are normalised by the statistics of the images
 * that are computed together; else by running ones, which are entries of the network's own parameters, `running_mean` and
 * `running_var`: checkpoints, exports and features have them with it. They are neither trained nor decayed nor averaged with
 * another network's: after each step `nextRunning` sets them, from what the network has seen of the whole batch.
 *
 * Letters: C channels, n images times places that a channel's statistics are of, r its running mean before the step.
 */

/** Added to variances: PyTorch's default, and BYOL's. */
const EPSILON = 1e-5;
/** How much of the new statistics goes into the running ones: PyTorch's default; a decay of 0.9 in SimCLR and BYOL. */
const MOMENTUM = 0.1;

const MEAN = 'running_mean';
const VARIANCE = 'running_var';

/** Whether an entry of a network's parameters is a running statistic. */
export function isRunning(name: string): boolean {
  return name.endsWith(`.${MEAN}`) || name.endsWith(`.${VARIANCE}`);
}

/** The running statistics of networks, without what is trained. */
export function runningOf(networks: Readonly<Record<string, Parameters>>): Record<string, Parameters> {
  const running = (own: Parameters) => Object.fromEntries(Object.entries(own).filter(([name]) => isRunning(name)));
  return mapValues(networks, running);
}

export function batchNormShapes(name: string, channels: number): ParameterShapes {
  const entries = ['weight', 'bias', MEAN, VARIANCE].map((entry) => [`${name}.${entry}`, [channels]]);
  return Object.fromEntries(entries);
}

/** Takes what a layer saw: its running mean tells which layer it is. [3, C]: n, n d, n (σ² + d²), d = μ - r */
type Observer = (runningMean: Tensor, seen: Tensor) => void;

/** What observes layers while networks learn; null where they do not. */
let observer: Observer | null = null;

/** Calls a function in which networks learn: batch norm goes by the statistics of the images that it is given. */
export function learning<Result>(observe: Observer, call: () => Result): Result {
  const before = observer;
  observer = observe;
  try {
    return call();
  } finally {
    observer = before;
  }
}

/** The same where nothing is to be made of what layers see. */
export function learningUnobserved<Result>(call: () => Result): Result {
  return learning(() => {}, call);
}

/**
 * What layers saw in a function's call, by `network layer call`: a layer may be called several times. Parts of a batch add
 * up. The caller disposes of it.
 * @param before what they saw in earlier calls, which is given back with the rest
 */
export function observing<Result>(
  networks: Readonly<Record<string, Parameters>>,
  call: () => Result,
  before: Readonly<Record<string, Tensor>> = {},
): { result: Result; seen: Record<string, Tensor> } {
  const layers = new Map<Tensor, string>();
  for (const [network, parameters] of Object.entries(networks)) {
    for (const [name, tensor] of Object.entries(parameters)) {
      if (name.endsWith(`.${MEAN}`)) layers.set(tensor, `${network} ${name.slice(0, -MEAN.length - 1)}`);
    }
  }
  const seen: Record<string, Tensor> = { ...before };
  const result = learning((runningMean, own) => {
    const layer = layers.get(runningMean);
    if (!layer) throw new Error('a layer of batch norm belongs to no network of the method');
    let calls = 0;
    while (`${layer} ${calls}` in seen) calls++;
    seen[`${layer} ${calls}`] = tf.keep(own); // it outlives the function in which the layer is
  }, call);
  return { result, seen };
}

/**
 * A layer of batch norm by the name of its parameters.
 * @param x [C, B, H, W]
 */
export function normaliseBatch(parameters: Parameters, name: string, x: Tensor): Tensor {
  const of = (entry: string) => parameter(parameters, `${name}.${entry}`);
  const [scale, bias, runningMean, runningVariance] = [of('weight'), of('bias'), of(MEAN), of(VARIANCE)];
  if (!observer) {
    const factor = scale.mul(tf.rsqrt(runningVariance.add(EPSILON))); // [C]
    const column = (tensor: Tensor) => tensor.reshape([-1, 1, 1, 1]);
    return x.mul(column(factor)).add(column(bias.sub(runningMean.mul(factor))));
  }
  const { y, mean, variance } = batchNorm(x, scale, bias, EPSILON);
  const count = x.size / scale.size;
  const shift = mean.sub(runningMean); // sums of squares of what is near 0 lose no digits
  observer(
    runningMean,
    tf.stack([tf.fill([scale.size], count), shift.mul(count), variance.add(shift.square()).mul(count)]),
  );
  return y;
}

/**
 * Running statistics after a step. PyTorch's rule, by the whole batch over all parts and ranks:
 *
 *   r ← 0.9 r + 0.1 μ;  v ← 0.9 v + 0.1 σ² n / (n - 1)
 *
 * once for each call of the layer in the step, in their order.
 * @param seen sums over parts and ranks of what `observing` gives
 * @returns running statistics of the layers that were seen, by network and name
 */
export function nextRunning(
  networks: Readonly<Record<string, Parameters>>,
  seen: Readonly<Record<string, Tensor>>,
): Record<string, Parameters> {
  const next: Record<string, Record<string, Tensor>> = {};
  for (const [key, sums] of Object.entries(seen)) {
    const [network, layer] = key.split(' ') as [string, string];
    const names = { mean: `${layer}.${MEAN}`, variance: `${layer}.${VARIANCE}` };
    const own = networks[network] as Parameters;
    next[network] ??= {};
    const before = mapValues(names, (name) => next[network]?.[name] ?? parameter(own, name));
    const [count, shift, squares] = tf.unstack(sums) as [Tensor, Tensor, Tensor];
    const d = shift.div(count);
    const mean = parameter(own, names.mean).add(d);
    const unbiased = squares
      .div(count)
      .sub(d.square())
      .mul(count)
      .div(tf.maximum(count.sub(1), 1));
    const moved = (old: Tensor, value: Tensor) => old.mul(1 - MOMENTUM).add(value.mul(MOMENTUM));
    next[network][names.mean] = moved(before.mean, mean);
    next[network][names.variance] = moved(before.variance, unbiased);
  }
  return next;
}

/**
 * Batch norm of the rows of a whole batch, as a head has it that a loss over the batch applies: it needs no running statistics.
 *
 *   y = γ (x - mean) / √(variance + ε) + β
 *
 * with mean and (biased) variance of each feature over the rows.
 * @param x [..., C]
 * @param scale γ, [C]; null for 1
 * @param bias β, [C]; null for 0
 */
export function normaliseRows(x: Tensor, scale: Tensor | null, bias: Tensor | null): Tensor {
  const axes = Array.from({ length: x.rank - 1 }, (_, axis) => axis);
  const centred = x.sub(x.mean(axes, true)); // [..., C]
  const variance = centred.square().mean(axes, true); // [1, ..., C]
  const y = centred.div(variance.add(EPSILON).sqrt());
  const scaled = scale ? y.mul(scale) : y;
  return bias ? scaled.add(bias) : scaled;
}
