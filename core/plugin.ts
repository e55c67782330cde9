import { UserError } from './base/errors.js';
import { textOf as coreTextOf } from './base/text.js';
import { PluginError } from './contract/plugin-error.js';
import type { Plugin } from './plugins/plugin.js';

// What every plugin may need.
export { bytesOfName, nameFromBytes, shownName, systemPath } from './base/file-names.js';
// What a method is made of.
export type { RandomStream } from './base/random.js';
export { parseTrustedJson as parseJson } from './base/text.js';
export {
  choice,
  flag,
  integer,
  interval,
  NONE,
  named,
  number,
  type Option,
  text,
  words,
} from './config/option.js';
export type { Options } from './config/schema.js';
export { decoderSize, encoderSize } from './config/sizes.js';
export type * from './contract/data-sets.js';
export type * from './contract/monitors.js';
export type * from './contract/objectives.js';
export { PluginError } from './contract/plugin-error.js';
export { attention, gelu, layerNorm, linear, mlp, normalise } from './engine/functions.js';
export { tf } from './engine/tf.js';
export { type EmaOptions, emaDecay, emaOptions } from './methods/ema-options.js';
export { describeLosses, LOSS_OPTIONS, type LossOptions, lossRequests, lossTerms } from './methods/losses.js';
export { drawMasks } from './methods/masks/multiblock.js';
export { MULTIBLOCK_OPTIONS, type MultiblockOptions, multiblockSettings } from './methods/masks/options.js';
export * from './methods/method.js';
export { targetStd } from './methods/target-std.js';
export { type Backbone, createVit } from './nn/backbone.js';
export { decoderPass, encoderPass } from './nn/cost.js';
export { initialValue } from './nn/init.js';
export { predict } from './nn/masked-decoder.js';
export { decoderShapes, encoderShapes, type ParameterShapes, type Parameters, parameter } from './nn/parameters.js';
export { sincosPositions } from './nn/positions.js';
export { gridSize, type ImageShape, type VitSize } from './nn/sizes.js';
export {
  keepPositions,
  keepTokens,
  type MaskTensors,
  repeatMasks,
  type TokenIndices,
  tokenIndices,
} from './nn/tokens.js';
export { norm, patchify, project, transformerBlocks } from './nn/vit.js';
export type { Plugin } from './plugins/plugin.js';

/** Keeps the type of a plugin while it is written. */
export function definePlugin<const P extends Plugin>(plugin: P): P {
  return plugin;
}

/**
 * The text that bytes are, without a byte order mark.
 * @param path where they come from, for messages
 * @throws PluginError if they are UTF-16
 */
export function textOf(bytes: Uint8Array, path: string): string {
  try {
    return coreTextOf(bytes, path);
  } catch (error) {
    throw asPluginError(error);
  }
}

/**
 * What the program knows of WebDataset shards, for plugins.
 * @throws PluginError where the use does something that the user can mend
 */
export async function withShards<T>(use: (shards: typeof import('./data/shards/tools.js')) => Promise<T>): Promise<T> {
  return asPluginProblem(use(await import('./data/shards/tools.js')));
}

/** What the program knows of folders and lists of images, for plugins; throws as `withShards` does. */
export async function withFiles<T>(use: (files: typeof import('./data/listing/tools.js')) => Promise<T>): Promise<T> {
  return asPluginProblem(use(await import('./data/listing/tools.js')));
}

async function asPluginProblem<T>(work: Promise<T>): Promise<T> {
  return work.catch((error: unknown) => {
    throw asPluginError(error);
  });
}

function asPluginError(error: unknown): unknown {
  return error instanceof UserError ? new PluginError(error.message, error.advice) : error;
}
