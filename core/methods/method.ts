import type { RandomStream } from '../base/random.js';
import type { Option, ValuesOf as OwnOptions } from '../config/option.js';
import type { MethodOptions, Options } from '../config/schema.js';
import type { ExtensionOf } from '../contract/extension.js';
import type { DrawnNumbers, PredictionLoss, Regularizer, Tokenizer } from '../contract/objectives.js';
import type { ViewSpec } from '../data/crop.js';
import type { Scalar, Tensor } from '../engine/tf.js';
import type { Backbone, ImageEncoder } from '../nn/backbone.js';
import type { Pass } from '../nn/cost.js';
import type { ParameterShapes, Parameters } from '../nn/parameters.js';
import type { EncoderSize, VitSize } from '../nn/sizes.js';
import type { MaskTensors, TokenIndices } from '../nn/tokens.js';
import type { ParameterPolicy } from '../optim/policy.js';
import type { RunLength } from '../optim/schedules.js';

export type { OwnOptions, ViewSpec };

/** Tensors by name. */
export type Tensors = Readonly<Record<string, Tensor>>;
/** The weights of every network by its name: { encoder, predictor, target_encoder }. */
export type Networks = Readonly<Record<string, Parameters>>;

/**
 * A self-supervised method: what the trainer has to know of it; the README tells how a step uses it. It holds no weights;
 * every function takes those it needs. A batch may be computed in parts: `Part` is what a function sees.
 *
 * `targets`, `outputs`, terms and logs use operations of `tf` and the functions of `core/nn`; they read no tensor. They are
 * not called in every step: an engine may record what they do and repeat that with other data. So every number that
 * changes from step to step has to come in a tensor of `part`.
 */
export interface Method<Outputs extends Tensors = Tensors, Targets extends Tensors = Tensors> {
  readonly networks: Readonly<Record<string, NetworkSpec>>;
  /** The images that it wants to see. */
  readonly views: readonly ViewSpec[];
  /** Networks that can be judged downstream, by the names that users give them; the first is the usual one: { target: 'target_encoder' }. */
  readonly encoders: Readonly<Record<string, string>>;
  /** Sizes of its networks, which a checkpoint records beside image and patch size: { encoder, predictor }. */
  readonly sizes: Readonly<Record<string, EncoderSize>>;
  /** What is random in a step beside crops: masks and the like, for the whole batch over all ranks, from the step's own stream. */
  draw?(stream: RandomStream, imageCount: number): BatchDraw;
  /** For previews: what the patches are of the masks that `draw` gives, or of values [B, N, 1] that are not 0, by name. */
  readonly masks: Readonly<Record<string, MaskInfo>>;
  /** Whether targets are of the images alone, as pixels are: then no term rewards representations that are all alike. */
  readonly fixedTargets?: boolean;
  /** What is to be predicted. No gradient is taken. */
  targets(networks: Networks, part: Part): Targets;
  /** What is predicted. */
  outputs(networks: Networks, part: Part): Outputs;
  /** The loss is their weighted sum. */
  readonly terms: readonly Term<Outputs, Targets>[];
  /** State beside weights: a centre, running statistics. */
  readonly state?: MethodState<Outputs, Targets>;
  /** Scheduled numbers beside learning rate and weight decay, by name: the decay of a moving average, a temperature. */
  readonly rates: Readonly<Record<string, Rate>>;
  /** What it logs beside its terms, and what of its draws. */
  readonly logs: readonly LogColumn<Outputs, Targets>[];
  /**
   * Tries what plugins bring on a few random numbers, so that what cannot work is found before a run begins.
   * @throws UserError that names the plugin
   */
  check?(): Promise<void>;
  dispose(): void;
}

/** A network's parameters and how they come about. */
export interface NetworkSpec {
  readonly shapes: ParameterShapes;
  readonly role: Role;
  /** First values of a parameter; default: `initialValue` of `core/nn/parameters.ts`. Those of a moving average are copies. */
  init?(name: string, shape: readonly number[], stream: RandomStream): Float32Array;
}

export type Role =
  /**
   * Trained. The policy names parameters without weight decay, and layer-wise learning rates. `steps` names the rate that
   * counts its updates, default all steps: while that is 0, the network and its averages stay as they are.
   */
  | { readonly by: 'gradient'; readonly policy?: ParameterPolicy; readonly steps?: string }
  /** Follows the parameters of the same names of another network: θ̄ ← μ θ̄ + (1 - μ) θ. `decay` names the rate that is μ. */
  | { readonly by: 'ema'; readonly of: string; readonly decay: string }
  /** Stays as it is. */
  | { readonly by: 'fixed' };

/** What was drawn for a batch. */
export interface BatchDraw {
  /** Images that lie side by side and keep the same numbers of patches, in the order of the batch. */
  readonly groups: readonly DrawnGroup[];
  /** Numbers of the step for the log, beside the patches of each mask. */
  readonly logs?: Readonly<Record<string, number>>;
}

export interface DrawnGroup {
  readonly imageCount: number;
  readonly masks: Readonly<Record<string, TokenIndices>>;
  /** Numbers of each image, [B, ...], image by image. */
  readonly values?: Readonly<Record<string, DrawnNumbers>>;
}

/** A part of a batch on the engine. Letters: b its images. */
export type Part = {
  /** Of each view [count b, S, S, 3]: the views of an image side by side. */
  views: Tensors;
  masks: Readonly<Record<string, MaskTensors>>;
  /** [b, ...] */
  values: Tensors;
  /** The method's own state, and its rates, as scalars. */
  state: Tensors;
  rates: Tensors;
  /** Its fraction of the batch's images; the parts' sum is 1. */
  fraction: number;
};

/** A term of the loss. */
export type Term<Outputs, Targets> = {
  /** Column of the log. */
  readonly name: string;
  readonly weight: number;
} & (
  | {
      /** A mean over images: parts of a batch add up to it. */
      readonly over: 'images';
      compute(outputs: Outputs, targets: Targets, part: Part): Scalar;
    }
  | {
      /** Has to see what belongs to it of the whole batch; where that is computed in parts, by the gradient cache. */
      readonly over: 'batch';
      /** A row for each image, view or context: small. */
      rows(outputs: Outputs): Tensor;
      /** Rows of the targets that belong to it. */
      targetRows?(targets: Targets): Tensor;
      /** Networks that it applies to the rows of the whole batch: heads with batch norm, for one. */
      readonly heads?: readonly string[];
      /** Random numbers of the step, by name. */
      draw?(stream: RandomStream): Readonly<Record<string, DrawnNumbers>>;
      /**
       * @param rates of the step, as in `Part`
       * @param whole what it asks for beside its rows
       */
      compute(rows: Tensor, drawn: Tensors, rates: Tensors, whole: WholeBatch): Scalar;
    }
);

/** What a term over the batch has beside its rows: the rows of its targets, and its heads by name. */
export type WholeBatch = { readonly targets: Tensor | null; readonly heads: Networks };

/** State that a method carries from step to step, the same on all ranks. */
export interface MethodState<Outputs, Targets> {
  readonly initial: Readonly<Record<string, DrawnNumbers>>;
  /** Of a part; summed over parts and ranks. Means are to be multiplied by `part.fraction`. */
  statistics(outputs: Outputs, targets: Targets, part: Part): Tensors;
  next(state: Tensors, statistics: Tensors): Tensors;
}

/** A number of each step, counted from 1. */
export type Rate = (step: number, length: RunLength) => number;

/** A number that is logged of each step. */
export interface LogColumn<Outputs, Targets> {
  readonly name: string;
  /** Computed from rows of the whole batch. */
  rows(outputs: Outputs, targets: Targets, part: Part): Tensor;
  compute(rows: Tensor): Scalar;
}

/** What to call the patches of a mask ('context', 'target'), and whether the trained encoder sees or predicts them. */
export type MaskInfo = { readonly title: string; readonly role: 'visible' | 'predicted' };

/** A method as users choose it: `--method NAME`. */
export interface MethodDefinition<Own = Readonly<Record<string, unknown>>>
  extends Omit<MethodOptions, 'options' | 'defaults'> {
  /** Options of its own: flags, help, files, validation and the record of a run come from here. */
  readonly options: { readonly [Name in keyof Own]: Option<Own[Name]> };
  /** Defaults that differ from those of the common options. */
  readonly defaults: Partial<Options>;
  /** Whether its encoder may be a residual network: then it asks for nothing but `MethodContext.encoder`. */
  readonly acceptsResNet?: boolean;
  /** What its encoder has beside what the common options say: a class token, for one. */
  architecture?(options: Options & Own): Partial<VitSize>;
  /** What plugins bring that the options name; null for none. */
  extensions?(options: Options & Own): Readonly<Record<string, ExtensionRequest | null>>;
  /** @throws UserError where options do not fit one another */
  create(options: Options & Own, context: MethodContext): Method;
  /** What automatic options come to. */
  automatic?(options: Options & Own): Readonly<Record<string, number>>;
  /** The objective in words. */
  describe(options: Options & Own): string;
  /**
   * The passes of a step through encoders and decoders, for one image: memory and operations come from here.
   * @param patches of each mask, as means over the images
   */
  passes(options: Options & Own, patches: Readonly<Record<string, number>>): readonly Pass[];
  /** What masks come to over many steps, in lines for people. */
  describeMasks?(options: Options & Own): readonly string[];
  /** What a benchmark of a size uses instead of drawn masks, so that it can be compared with others. */
  readonly benchmarks?: Readonly<Record<string, BenchmarkMasks>>;
}

/** Masks of a benchmark: how many an image and how many patches of each. */
export interface BenchmarkMasks {
  /** Own options of that size. */
  readonly options?: Readonly<Record<string, unknown>>;
  readonly masks: Readonly<Record<string, readonly [maskCount: number, tokenCount: number]>>;
}

/** What plugins may bring to a method. */
export type MethodExtension =
  | ExtensionOf<'loss', PredictionLoss>
  | ExtensionOf<'regularizer', Regularizer>
  | ExtensionOf<'tokenizer', Tokenizer>;

/** Something that plugins bring under a name, and the option that names it. */
export interface ExtensionRequest {
  readonly kind: MethodExtension['kind'];
  readonly name: string;
  readonly option: string;
  /** Whether there may be none. */
  readonly none?: boolean;
}

/** What a method is made from. */
export interface MethodContext {
  /** What makes features of whole images: all that there is for methods that accept residual networks. */
  readonly encoder: ImageEncoder;
  /** The same as a vision transformer, for methods that work on patches. */
  readonly backbone: Backbone;
  /** By the names of `extensions`. */
  readonly extensions: Readonly<Record<string, MethodExtension | null>>;
}

/** Keeps the types of a definition's own options while they are written, and forgets them for the registry. */
export function defineMethod<Table extends Readonly<Record<string, Option<never> | Option<unknown>>>>(
  definition: Omit<MethodDefinition<OwnOptions<Table>>, 'options'> & { readonly options: Table },
): MethodDefinition {
  return definition as unknown as MethodDefinition;
}
