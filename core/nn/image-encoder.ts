import { createVit, type ImageEncoder, type VitShape } from './backbone.js';
import { encoderShapes, type ParameterShapes } from './parameters.js';
import { resNetFeatures, resNetShapes } from './resnet.js';
import { type EncoderSize, type ImageShape, isResNet, type ResNetSize } from './sizes.js';

/** Sizes of an encoder and of its images, as `VitShape` has them of a vision transformer. */
export type EncoderShape = Omit<VitShape, 'encoder'> & { readonly encoder: EncoderSize };

/** An encoder of either kind. */
export function createImageEncoder({ encoder, ...shape }: EncoderShape): ImageEncoder {
  return isResNet(encoder) ? createResNet({ imageSize: shape.imageSize, encoder }) : createVit({ ...shape, encoder });
}

/** A residual network, for images of any size; it has no patches, or patches of one pixel. */
export function createResNet({ imageSize, encoder }: { imageSize: number; encoder: ResNetSize }): ImageEncoder {
  return {
    imageSize,
    patchSize: 1,
    encoder,
    shapes: resNetShapes(encoder),
    features(parameters, images, layers) {
      if (layers !== 1) throw new Error(`a residual network has features of its last layer, not of ${layers}`);
      return resNetFeatures(encoder, parameters, images);
    },
    atSize: (other) => createResNet({ imageSize: other, encoder }),
    dispose: () => {},
  };
}

/** Name and shape of every parameter of an encoder. */
export function shapesOfEncoder({ encoder, ...shape }: ImageShape & { encoder: EncoderSize }): ParameterShapes {
  return isResNet(encoder) ? resNetShapes(encoder) : encoderShapes({ ...shape, encoder });
}
