import { resolveOptions } from '../../core/config/resolve.js';
import { createMethod } from '../../core/methods/create.js';
import { METHODS } from '../../core/methods/registry.js';
import type { Backbone } from '../../core/nn/backbone.js';
import { selectPlugins } from '../../core/plugins/plugin.js';
import { BUILT_IN_PLUGINS } from '../../plugins/index.js';

/** A model of a few thousand weights. */
export const TINY = {
  imageSize: 8,
  patchSize: 4,
  dim: 8,
  depth: 1,
  heads: 2,
  predictorDim: 8,
  predictorDepth: 1,
  targetScale: [0.25, 0.25],
  minKeep: 1,
} as const;

/** A method of the registry, made from options as a command line gives them; needs an engine. `backbone` is there for vision transformers. */
export function methodOf(flags: Readonly<Record<string, unknown>>) {
  const resolved = resolveOptions({ methods: METHODS, flags });
  const { method: definition, options } = resolved;
  const { extensions } = selectPlugins(definition, options, BUILT_IN_PLUGINS);
  const made = createMethod(definition, options, extensions);
  return { definition, options, ...made, backbone: made.encoder as Backbone };
}
