import type { Options } from '../config/schema.js';
import { encoderSize, imageShape } from '../config/settings.js';
import { createVit } from '../nn/backbone.js';
import type { MethodContext, MethodDefinition } from './method.js';

/**
 * A method with the backbone that its options describe, on the engine that is active; dispose of the method alone.
 * @param extensions what plugins bring to it
 * @throws UserError where options do not fit one another
 */
export function createMethod(definition: MethodDefinition, options: Options, extensions: MethodContext['extensions']) {
  const encoder = { ...encoderSize(options), ...definition.architecture?.(options) };
  const backbone = createVit({ ...imageShape(options), encoder });
  const method = definition.create(options, { backbone, extensions });
  const dispose = () => {
    method.dispose();
    backbone.dispose();
  };
  return { method: { ...method, dispose }, backbone };
}

/**
 * Finds what cannot work about a method's options before anything is opened or started.
 * @throws UserError where options do not fit one another
 */
export function checkMethodOptions(definition: MethodDefinition, options: Options): void {
  imageShape(options);
  encoderSize(options);
  definition.automatic?.(options);
}
