import { type Scalar, type Tensor, tf } from '../engine/tf.js';
import { encodeContext, encodeTargets, type Ijepa, predictTargets, type Weights } from '../model/ijepa.js';
import type { Parameters } from '../model/parameters.js';
import { type AdamSettings, type AdamState, adamwStep, initialAdamState } from './adamw.js';
import type { LossName, RegularizerName } from './choices.js';
import { movingAverage } from './ema.js';
import { predictionLoss } from './loss.js';
import { type MicroBatch, microBatches, type TrainBatch } from './micro-batch.js';
import { vicreg } from './regularizer.js';

/** Everything that a step changes. */
export type TrainState = {
  /** Steps done. */
  step: number;
  weights: Weights;
  /** Of the context encoder and the predictor, by names such as 'encoder.norm.weight'. */
  moments: AdamState;
};

export interface Objective {
  loss: LossName;
  regularizer: RegularizerName;
  regularizerWeight: number;
  /** Images computed at once; the gradients of a larger batch are accumulated, with the same result. */
  microBatchSize: number;
}

/** The scheduled values of one step. */
export interface StepRates {
  learningRate: number;
  weightDecay: number;
  /** Of the moving average. */
  momentum: number;
}

/** What a step gives: the next state and scalars to log, all the caller's to dispose. */
export type StepResult = {
  state: TrainState;
  /** The whole objective: prediction loss plus weighted regularizer. */
  loss: Scalar;
  predictionLoss: Scalar;
  /** Mean over features of the standard deviation, over the batch's images, of each image's average target. */
  targetDeviation: Scalar;
  /** Norm of all gradients together. */
  gradientNorm: Scalar;
  /** Norm of all new weights together; it tells whether they are still numbers. */
  weightNorm: Scalar;
};

export function initialTrainState(weights: Weights): TrainState {
  return { step: 0, weights, moments: initialAdamState(trainable(weights)) };
}

/**
 * One training step of I-JEPA (paper, section 3): targets from the whole image, context, prediction, loss, gradients,
 * AdamW, moving average.
 *
 * Pure: the given state is not changed and stays the caller's.
 */
export function trainStep(
  model: Ijepa,
  objective: Objective,
  state: TrainState,
  batch: TrainBatch,
  rates: StepRates,
  adam: Pick<AdamSettings, 'beta1' | 'beta2' | 'epsilon'>,
): StepResult {
  return tf.tidy(() => {
    const { gradients, targetMeans, ...losses } = objectiveGradients(model, objective, state.weights, batch);
    const settings = { ...adam, learningRate: rates.learningRate, weightDecay: rates.weightDecay };
    const updated = adamwStep(trainable(state.weights), gradients, state.moments, state.step + 1, settings);
    const encoder = namesWithout(updated.parameters, 'encoder.');
    const predictor = namesWithout(updated.parameters, 'predictor.');
    const target = movingAverage(state.weights.target, encoder, rates.momentum);
    return {
      state: { step: state.step + 1, weights: { encoder, predictor, target }, moments: updated.state },
      ...losses,
      targetDeviation: tf.moments(targetMeans, 0).variance.sqrt().mean(),
      gradientNorm: globalNorm(gradients),
      weightNorm: globalNorm(updated.parameters),
    };
  });
}

/** An objective's value, the prediction loss in it, and its gradients by names such as 'predictor.mask_token'. */
export type ObjectiveGradients = {
  loss: Scalar;
  predictionLoss: Scalar;
  /** Each image's targets, averaged over blocks and patches, [B, D]. */
  targetMeans: Tensor;
  gradients: Parameters;
};

/** The objective's value over a batch and its gradients, computed in parts and added up. */
export function objectiveGradients(
  model: Ijepa,
  objective: Objective,
  weights: Weights,
  batch: TrainBatch,
): ObjectiveGradients {
  return tf.tidy(() => {
    const parts = microBatches(model, batch, objective.microBatchSize);
    const pull = regularizerPull(model, objective, weights, parts);
    let sum: ObjectiveGradients | undefined;
    for (const [index, part] of parts.entries()) {
      const result = partGradients(model, objective, weights, part, (context) => pull.term(context, index));
      sum = sum ? addResults(sum, result) : result;
    }
    if (!sum) throw new Error('a batch has no images');
    return { ...sum, loss: sum.loss.add(pull.correction) as Scalar };
  });
}

/** The share that a part of a batch has in the objective: targets, context, prediction, loss, gradients. */
function partGradients(
  model: Ijepa,
  { loss }: Objective,
  weights: Weights,
  part: MicroBatch,
  regularizer: (context: Tensor) => Tensor,
): ObjectiveGradients {
  return tf.tidy(() => {
    const target = encodeTargets(model, weights.target, part.images, part.targets, part.context.masks);
    let predictionShare = tf.scalar(0);
    const { value, gradients } = valueAndGradients(trainable(weights), (parameters) => {
      const context = encodeContext(model, namesWithout(parameters, 'encoder.'), part.images, part.context);
      const predicted = predictTargets(
        model,
        namesWithout(parameters, 'predictor.'),
        context,
        part.context,
        part.targets,
      );
      const share = predictionLoss(loss, predicted, target).mul(part.share) as Scalar;
      predictionShare = tf.keep(share.clone());
      return share.add(regularizer(context)) as Scalar;
    });
    const predictionLossShare = predictionShare.clone();
    predictionShare.dispose();
    const [rows, patches, width] = target.shape as [number, number, number];
    const images = part.images.shape[0] as number;
    const targetMeans = target.reshape([rows / images, images, patches, width]).mean([0, 2]); // [b, D]
    return { loss: value, predictionLoss: predictionLossShare, targetMeans, gradients };
  });
}

/** Adds the results of two parts up and disposes of them, so that only one sum is ever held. */
function addResults(a: ObjectiveGradients, b: ObjectiveGradients): ObjectiveGradients {
  const add = (x: Tensor, y: Tensor): Tensor => {
    const sum = x.add(y);
    tf.dispose([x, y]);
    return sum;
  };
  const targetMeans = tf.concat([a.targetMeans, b.targetMeans], 0);
  tf.dispose([a.targetMeans, b.targetMeans]);
  return {
    targetMeans,
    loss: add(a.loss, b.loss) as Scalar,
    predictionLoss: add(a.predictionLoss, b.predictionLoss) as Scalar,
    gradients: Object.fromEntries(
      Object.entries(a.gradients).map(([name, tensor]) => [name, add(tensor, b.gradients[name] as Tensor)]),
    ),
  };
}

/** What the regularizer adds to each part's loss, and what brings the sum of the parts to its true value. */
interface RegularizerPull {
  term(context: Tensor, part: number): Tensor;
  correction: Tensor;
}

/**
 * The regularizer over the whole batch, when the batch is computed in parts.
 *
 * Variance and covariance of a batch are not means over its parts. In several parts, all pooled outputs z are computed
 * first without gradient, then G = ∂R/∂z; each part adds ⟨G, z(θ)⟩, whose gradient is that of R itself.
 */
function regularizerPull(
  model: Ijepa,
  { regularizer, regularizerWeight: weight }: Objective,
  weights: Weights,
  parts: readonly MicroBatch[],
): RegularizerPull {
  const nothing = tf.scalar(0);
  if (regularizer === 'none' || weight === 0) return { term: () => nothing, correction: nothing };
  if (parts.length === 1) return { term: (context) => vicreg(pool(context)).mul(weight), correction: nothing };
  const pooled = parts.map((part) =>
    tf.tidy(() => pool(encodeContext(model, weights.encoder, part.images, part.context))),
  );
  const { value, grad } = tf.valueAndGrad((z: Tensor) => vicreg(z).mul(weight))(tf.concat(pooled, 0));
  const slopes = tf.split(
    grad,
    pooled.map((z) => z.shape[0] as number),
    0,
  );
  const products = pooled.map((z, index) => z.mul(slopes[index] as Tensor).sum());
  return {
    term: (context, part) =>
      pool(context)
        .mul(slopes[part] as Tensor)
        .sum(),
    correction: value.sub(tf.addN(products)),
  };
}

/** Mean over tokens: [B, K, D] -> [B, D]. */
function pool(tokens: Tensor): Tensor {
  return tokens.mean(1);
}

/** The parameters that gradients reach, under one set of names. */
export function trainable({ encoder, predictor }: Pick<Weights, 'encoder' | 'predictor'>): Parameters {
  const named: [string, Tensor][] = [];
  for (const [name, tensor] of Object.entries(encoder)) named.push([`encoder.${name}`, tensor]);
  for (const [name, tensor] of Object.entries(predictor)) named.push([`predictor.${name}`, tensor]);
  return Object.fromEntries(named);
}

/** Entries whose name starts with the prefix, without it. */
function namesWithout(parameters: Parameters, prefix: string): Parameters {
  return Object.fromEntries(
    Object.entries(parameters)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, tensor]) => [name.slice(prefix.length), tensor]),
  );
}

/** Value and gradients, by name, of a scalar function of named parameters. */
export function valueAndGradients(
  parameters: Parameters,
  compute: (parameters: Parameters) => Scalar,
): { value: Scalar; gradients: Parameters } {
  const names = Object.keys(parameters);
  const zip = (tensors: Tensor[]): Parameters =>
    Object.fromEntries(names.map((name, at) => [name, tensors[at] as Tensor]));
  const { value, grads } = tf.valueAndGrads((...tensors: Tensor[]) => compute(zip(tensors)))(Object.values(parameters));
  return { value: value as Scalar, gradients: zip(grads) };
}

/** √ Σ ‖x‖² over all tensors. */
function globalNorm(tensors: Parameters): Scalar {
  return tf.addN(Object.values(tensors).map((tensor) => tensor.square().sum())).sqrt() as Scalar;
}
