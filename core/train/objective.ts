import type { Engine } from '../engine/contract.js';
import { type Scalar, type Tensor, tf } from '../engine/tf.js';
import { encodeContext, encodeTargets, type Ijepa, predictTargets, type Weights } from '../methods/ijepa/model.js';
import { type Parameters, parameter } from '../nn/parameters.js';
import { type MicroBatch, microBatches, type TrainBatch } from './micro-batch.js';
import { type Drawn, drawNumbers, predictionLoss, regularization, type Terms } from './terms.js';

export interface Objective extends Terms {
  regularizerWeight: number;
  /** Fixes the random numbers that a regularizer draws. */
  seed: number;
  /** Images computed at once; the gradients of a larger batch are accumulated, with the same result. */
  microBatchSize: number;
}

/** An objective's value, the prediction loss in it, and its gradients by names such as 'predictor.mask_token'. */
export type ObjectiveGradients = {
  loss: Scalar;
  predictionLoss: Scalar;
  /** Each image's targets, averaged over blocks and patches, [B, D]. */
  targetMeans: Tensor;
  gradients: Parameters;
};

/**
 * Computes an objective's value over a batch and its gradients, in parts that are added up; the caller's to dispose.
 * @param step from 1, for what is drawn anew in each
 */
export type ComputeObjective = (weights: Weights, batch: TrainBatch, step: number) => Promise<ObjectiveGradients>;

/**
 * How many parts of a batch are computed at the same time. What a regularizer looks at is computed once more where there
 * are several parts: there are no more than must be.
 */
export function usableLanes({ lanes }: Engine, hasRegularizer: boolean): number {
  return hasRegularizer ? 1 : lanes;
}

/** Prepares an objective for an engine. */
export function prepareObjective(engine: Engine, model: Ijepa, objective: Objective): ComputeObjective {
  const { microBatchSize, regularizer } = objective;
  const computeParts = engine.compileParts((weights: Weights, { part, pull }: { part: MicroBatch; pull: Pull }) =>
    tf.tidy(() => partGradients(model, objective, weights, part, pull)),
  );
  const atOnce = Math.min(usableLanes(engine, regularizer !== null), microBatchSize);
  const pullOf = preparePull(engine, model, objective);
  return async (weights, batch, step) => {
    const parts = microBatches(model, batch, microBatchSize, atOnce);
    const pulls = await pullOf(weights, parts, step);
    const pulled = parts.map((part, index) => ({ part, pull: pulls[index] ?? {} }));
    let sum: ObjectiveGradients | null = null;
    for await (const result of computeParts(weights, pulled, atOnce)) {
      sum = sum ? await addResults(engine, sum, result) : result;
    }
    tf.dispose([parts, pulls]);
    if (!sum) throw new Error('a batch has no images');
    return sum;
  };
}

/** The share that a part of a batch has in the objective: targets, context, prediction, loss, gradients. */
function partGradients(
  model: Ijepa,
  objective: Objective,
  weights: Weights,
  part: MicroBatch,
  pull: Pull,
): ObjectiveGradients {
  const target = encodeTargets(model, weights.target, part.images, part.targets, part.context.masks);
  let predictionShare = tf.scalar(0);
  const { value, gradients } = valueAndGradients(trainable(weights), (parameters) => {
    const context = encodeContext(model, namesWithout(parameters, 'encoder.'), part.images, part.context);
    const predictor = namesWithout(parameters, 'predictor.');
    const predicted = predictTargets(model, predictor, context, part.context, part.targets);
    const share = predictionLoss(objective.loss, predicted, target).mul(part.share) as Scalar;
    predictionShare = tf.keep(share.clone());
    const regularizer = regularizerOf(objective, context, pull);
    return (regularizer ? share.add(regularizer) : share) as Scalar;
  });
  const predictionLossShare = predictionShare.clone();
  predictionShare.dispose();
  const [rows, patches, width] = target.shape as [number, number, number];
  const images = part.images.shape[0] as number;
  const targetMeans = target.reshape([rows / images, images, patches, width]).mean([0, 2]); // [b, D]
  return { loss: value, predictionLoss: predictionLossShare, targetMeans, gradients };
}

/** Adds the results of two parts up; both are used up. */
async function addResults(engine: Engine, a: ObjectiveGradients, b: ObjectiveGradients): Promise<ObjectiveGradients> {
  const targetMeans = tf.concat([a.targetMeans, b.targetMeans], 0);
  tf.dispose([a.targetMeans, b.targetMeans]);
  const gradients: Record<string, Tensor> = {};
  for (const [name, gradient] of Object.entries(b.gradients)) {
    gradients[name] = await engine.accumulate(parameter(a.gradients, name), gradient);
  }
  return {
    loss: (await engine.accumulate(a.loss, b.loss)) as Scalar,
    predictionLoss: (await engine.accumulate(a.predictionLoss, b.predictionLoss)) as Scalar,
    targetMeans,
    gradients,
  };
}

/**
 * What stands for the regularizer in a part of a batch that is computed in several.
 *
 * A regularizer's R of a batch is no mean over its parts. So all pooled outputs z are computed first without gradient,
 * then R(z) and G = ∂R/∂z; each part adds ⟨G, z(θ)⟩, whose gradient is that of R itself, and its share of R - ⟨G, z⟩,
 * which brings the sum of the parts to R. Where there is one part, it computes R itself, with what was drawn for the
 * step. Empty without a regularizer.
 */
type Pull = { drawn?: Drawn; slope?: Tensor; correction?: Tensor };

function preparePull(engine: Engine, model: Ijepa, { regularizer, regularizerWeight, seed }: Objective) {
  if (!regularizer) return async (): Promise<Pull[]> => [];
  const pooled = engine.compile((encoder: Parameters, part: MicroBatch) =>
    tf.tidy(() => pool(encodeContext(model, encoder, part.images, part.context))),
  );
  const pulls = engine.compile((outputs: Tensor[], drawn: Drawn) =>
    tf.tidy((): Pull[] => {
      const z = tf.concat(outputs, 0);
      const { value, grad } = tf.valueAndGrad((x: Tensor) =>
        regularization(regularizer, x, drawn).mul(regularizerWeight),
      )(z);
      const correction = value.sub(grad.mul(z).sum()).div(outputs.length);
      const slopes = tf.split(
        grad,
        outputs.map((output) => output.shape[0] as number),
        0,
      );
      return slopes.map((slope) => ({ slope, correction: correction.clone() }));
    }),
  );
  return async (weights: Weights, parts: readonly MicroBatch[], step: number): Promise<Pull[]> => {
    const drawn = drawNumbers(regularizer, seed, step, model.size.encoder.dim);
    if (parts.length === 1) return [{ drawn }];
    const outputs: Tensor[] = [];
    for (const part of parts) outputs.push(await pooled(weights.encoder, part));
    const result = await pulls(outputs, drawn);
    tf.dispose([outputs, drawn]);
    return result;
  };
}

/** The regularizer's term in a part's loss; null where there is none. */
function regularizerOf({ regularizer, regularizerWeight }: Objective, context: Tensor, pull: Pull): Tensor | null {
  if (!regularizer) return null;
  const { drawn = {}, slope, correction } = pull;
  if (!slope || !correction) return regularization(regularizer, pool(context), drawn).mul(regularizerWeight);
  return pool(context).mul(slope).sum().add(correction);
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
