import { RandomStream } from '../base/random.js';
import { grouped, NONE, named, number } from '../config/option.js';
import { failureOf } from '../contract/extension.js';
import { type Scalar, type Tensor, tf } from '../engine/tf.js';
import { lengthOf } from '../nn/parameters.js';
import { ask, describeValue, failedIn } from './ask.js';
import { drawnTensors, normalTensors } from './batch.js';
import type { ExtensionRequest, MethodContext, MethodExtension, OwnOptions, Tensors, Term } from './method.js';

/** The names of their terms, in logs. */
export const TERM_NAMES = { loss: 'prediction', regularizer: 'regularizer', tokenizer: 'tokens' } as const;

type LossExtension = Extract<MethodExtension, { kind: 'loss' }>;
type RegularizerExtension = Extract<MethodExtension, { kind: 'regularizer' }>;

/** Options of a term against collapse, which plugins bring. */
export const REGULARIZER_OPTIONS = grouped('Objective', {
  regularizer: named({
    default: NONE,
    what: 'a regularizer',
    help: "term against collapse, on the encoder's pooled output: vicreg, by variance and covariance; sigreg, by distance from a normal distribution; isotropy, by cosines; one of a plugin; or none",
  }),
  regularizerWeight: number({ default: 0.3, min: 0, help: 'weight of that term' }),
});
export type RegularizerOptions = OwnOptions<typeof REGULARIZER_OPTIONS>;

/** Options of a distance between representations, and of a term against their collapse, which plugins bring. */
export const LOSS_OPTIONS = grouped('Objective', {
  loss: named({
    default: 'l2',
    what: 'a loss',
    help: "distance of predicted and target representations: l2, the paper's squared distance; smooth-l1, the reference code's; or one of a plugin",
  }),
  ...REGULARIZER_OPTIONS,
});
export type LossOptions = OwnOptions<typeof LOSS_OPTIONS>;

/** What these options name of what plugins bring. */
export function lossRequests(options: LossOptions): Readonly<Record<string, ExtensionRequest | null>> {
  return { loss: { kind: 'loss', name: options.loss, option: 'loss' }, ...regularizerRequest(options) };
}

export function regularizerRequest({ regularizer }: RegularizerOptions) {
  const request: ExtensionRequest = { kind: 'regularizer', name: regularizer, option: 'regularizer', none: true };
  return { regularizer: regularizer === NONE ? null : request };
}

/** In words. */
export function describeLosses({ loss, regularizer, regularizerWeight }: LossOptions): string {
  return regularizer === NONE
    ? `${loss}, no term against collapse`
    : `${loss} + ${regularizerWeight} x ${regularizer}, a term against collapse that the paper does not have`;
}

/**
 * The terms, and what tries them before a run: a distance of predictions and targets, both [M, J, D], and one against
 * collapse that looks at a row for each context of the whole batch, [n, D].
 * @param pick what is predicted, and the target
 * @param width D
 */
export function lossTerms<O, T>(
  context: Pick<MethodContext, 'extensions'>,
  options: LossOptions,
  pick: (outputs: O, targets: T) => readonly [predicted: Tensor, target: Tensor],
  rows: (outputs: O) => Tensor,
  width: number,
): { terms: Term<O, T>[]; check: () => Promise<void> } {
  const { loss, regularizer = null } = context.extensions;
  if (loss?.kind !== 'loss') throw new Error('no loss was found');
  const distance: Term<O, T> = {
    name: TERM_NAMES.loss,
    weight: 1,
    over: 'images',
    compute: (outputs, targets) => predictionLoss(loss, ...pick(outputs, targets)),
  };
  return {
    terms: [distance, ...regularizerTerms<O, T>(context, options, rows, width)],
    check: () => tryExtensions([loss, regularizer], width),
  };
}

/** The term against collapse, if there is one, on rows of the whole batch, [n, D]. @param width D */
export function regularizerTerms<O, T>(
  { extensions: { regularizer } }: Pick<MethodContext, 'extensions'>,
  { regularizerWeight: weight }: RegularizerOptions,
  rows: (outputs: O) => Tensor,
  width: number,
): Term<O, T>[] {
  if (regularizer?.kind !== 'regularizer' || weight === 0) return [];
  return [
    {
      name: TERM_NAMES.regularizer,
      weight,
      over: 'batch',
      rows,
      draw: (stream) => drawNumbers(regularizer, stream, width),
      compute: (pooled, drawn) => regularizationOf(regularizer, pooled, drawn),
    },
  ];
}

/** The distance of predictions and targets, both [M, J, D]. */
export function predictionLoss(loss: LossExtension, predicted: Tensor, target: Tensor): Scalar {
  if (predicted.shape.join() !== target.shape.join()) {
    throw new Error(`the loss expected predictions of [${target.shape}], received [${predicted.shape}]`);
  }
  return askForScalar(loss, () => loss.item.compute(tf, predicted, target));
}

/** What stands against collapse, of rows [n, D] and what was drawn. */
export function regularizationOf(regularizer: RegularizerExtension, pooled: Tensor, drawn: Tensors): Scalar {
  return askForScalar(regularizer, () => regularizer.item.compute(tf, pooled, drawn));
}

/** What a regularizer draws, by name, for rows of a width D. */
export function drawNumbers(regularizer: RegularizerExtension, stream: RandomStream, width: number) {
  const numbers = ask(regularizer, () => regularizer.item.draw?.(stream, width) ?? {});
  for (const [name, { shape, values }] of Object.entries(numbers)) {
    const size = lengthOf(shape);
    if (values instanceof Float32Array && values.length === size) continue;
    throw failureOf(regularizer, `drew ${values?.length} numbers as '${name}' of shape [${shape}], not a Float32Array`);
  }
  return numbers;
}

/**
 * Computes losses and regularizers once with their gradients, on a few random numbers.
 * @param width D
 * @throws UserError that names the plugin
 */
export async function tryExtensions(extensions: readonly (MethodExtension | null)[], width: number): Promise<void> {
  const random = normalTensors(new RandomStream(0, 'trial'));
  const [blocks, patches, rows] = [2, 3, 5]; // small, but with axes that cannot be mixed up
  for (const extension of extensions) {
    if (extension?.kind === 'loss') {
      const [predicted, target] = [random(blocks, patches, width), random(blocks, patches, width)];
      await tryOne(extension, predicted, (x) => predictionLoss(extension, x, target));
      tf.dispose([predicted, target]);
    } else if (extension?.kind === 'regularizer') {
      const drawn = drawnTensors(drawNumbers(extension, new RandomStream(0, 'regularizer', 1), width));
      const pooled = random(rows, width);
      await tryOne(extension, pooled, (x) => regularizationOf(extension, x, drawn));
      tf.dispose([pooled, drawn]);
    }
  }
}

async function tryOne(extension: MethodExtension, x: Tensor, compute: (x: Tensor) => Scalar): Promise<void> {
  try {
    const { value, grad } = tf.valueAndGrad(compute)(x);
    const [[number = Number.NaN], gradient] = [await value.data(), await grad.data()];
    tf.dispose([value, grad]);
    if (!Number.isFinite(number)) throw failureOf(extension, `gave ${number} on normal random numbers`);
    if (!gradient.every(Number.isFinite)) throw failureOf(extension, 'has a gradient of NaN on random numbers');
  } catch (error) {
    throw failedIn(extension, error);
  }
}

function askForScalar(extension: MethodExtension, compute: () => Scalar): Scalar {
  const value: unknown = ask(extension, compute);
  if (value instanceof tf.Tensor && value.rank === 0 && value.dtype === 'float32') return value as Scalar;
  throw failureOf(extension, `gave ${describeValue(value)} instead of a scalar of tf`);
}
