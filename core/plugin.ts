import type { Plugin } from './plugins/plugin.js';

// What every plugin may need.

export { bytesOfName, nameFromBytes, shownName, systemPath } from './base/file-names.js';
export { parseTrustedJson as parseJson, textOf } from './base/text.js';
export type * from './contract/data-sets.js';
export { PluginError } from './contract/extension.js';
export type * from './contract/monitors.js';
export type * from './contract/objectives.js';
export { centredSpectrum } from './eval/geometry.js';
export type { Plugin } from './plugins/plugin.js';

// What a method is made of.

export type { RandomStream } from './base/random.js';
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
export { decoderSize, encoderShape, encoderSize } from './config/settings.js';
export { attention, gelu, layerNorm, linear, mlp, normalise } from './engine/functions.js';
export { tf } from './engine/tf.js';
export { describeLosses, LOSS_OPTIONS, type LossOptions, lossRequests, lossTerms } from './methods/losses.js';
export { drawMasks } from './methods/masks/blocks.js';
export { MULTIBLOCK_OPTIONS, type MultiblockOptions, multiblockSettings } from './methods/masks/options.js';
export * from './methods/method.js';
export { type EmaOptions, emaDecay, emaOptions, targetStd } from './methods/shared.js';
export { type Backbone, createVit, type ImageEncoder } from './nn/backbone.js';
export { decoderPass, encoderPass, imagePass } from './nn/cost.js';
export { predict } from './nn/masked-decoder.js';
export {
  decoderShapes,
  encoderShapes,
  initialValue,
  type ParameterShapes,
  type Parameters,
  parameter,
} from './nn/parameters.js';
export { sincosPositions } from './nn/positions.js';
export { type EncoderSize, gridSize, type ImageShape, type VitSize } from './nn/sizes.js';
export {
  keepPositions,
  keepTokens,
  type MaskTensors,
  repeatMasks,
  type TokenIndices,
  tokenIndices,
} from './nn/tokens.js';
export { norm, patchify, project, transformerBlocks } from './nn/vit.js';

/** Keeps the type of a plugin while it is written. */
export function definePlugin<const P extends Plugin>(plugin: P): P {
  return plugin;
}

/** What the program knows of WebDataset shards, for plugins. */
export async function withShards<T>(use: (shards: typeof import('./data/shards/tools.js')) => Promise<T>): Promise<T> {
  return use(await import('./data/shards/tools.js'));
}

/** What the program knows of folders and lists of images, for plugins. */
export async function withFiles<T>(use: (files: typeof import('./data/listing/tools.js')) => Promise<T>): Promise<T> {
  return use(await import('./data/listing/tools.js'));
}
