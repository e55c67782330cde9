import { UserError } from '../base/errors.js';
import type { Options } from '../config/schema.js';
import { encoderSize, imageShape, residualSize } from '../config/settings.js';
import { type Backbone, createVit, type ImageEncoder } from '../nn/backbone.js';
import { createResNet } from '../nn/image-encoder.js';
import type { MethodContext, MethodDefinition } from './method.js';

/**
 * A method with the encoder that its options describe, on the engine that is active; dispose of the method alone.
 * @param extensions what plugins bring to it
 * @throws UserError where options do not fit one another
 */
export function createMethod(definition: MethodDefinition, options: Options, extensions: MethodContext['extensions']) {
  const context = contextOf(definition, options, extensions);
  const { encoder } = context;
  const method = definition.create(options, context);
  const dispose = () => {
    method.dispose();
    encoder.dispose();
  };
  return { method: { ...method, dispose }, encoder };
}

/**
 * Finds what cannot work about a method's options before anything is opened or started.
 * @throws UserError where options do not fit one another
 */
export function checkMethodOptions(definition: MethodDefinition, options: Options): void {
  if (!residualFor(definition, options)) {
    imageShape(options);
    encoderSize(options);
  }
  definition.automatic?.(options);
}

function contextOf(
  definition: MethodDefinition,
  options: Options,
  extensions: MethodContext['extensions'],
): MethodContext {
  const residual = residualFor(definition, options);
  if (!residual) {
    const size = { ...encoderSize(options), ...definition.architecture?.(options) };
    const backbone = createVit({ ...imageShape(options), encoder: size });
    return { encoder: backbone, backbone, extensions };
  }
  const encoder: ImageEncoder = createResNet({ imageSize: options.imageSize, encoder: residual });
  return {
    encoder,
    get backbone(): Backbone {
      throw new Error(`the method ${definition.name}, which accepts residual networks, asked for patches`);
    },
    extensions,
  };
}

/** The sizes of a residual network, which the method accepts; null for a vision transformer. */
function residualFor({ name, acceptsResNet }: MethodDefinition, options: Options) {
  const residual = residualSize(options);
  if (!residual || acceptsResNet) return residual;
  throw new UserError(`the method ${name} works on patches, and a ${options.backbone} has none`, {
    expected: '--backbone vit, or a method of whole images, such as lejepa or dino',
    remedy: 'leave --backbone out, or choose another --method',
  });
}
