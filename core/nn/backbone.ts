import { inParts } from '../engine/functions.js';
import { type Tensor, tf } from '../engine/tf.js';
import { encoderShapes, type ParameterShapes, type Parameters } from './parameters.js';
import { sincosPositions } from './positions.js';
import { gridSize, hiddenWidth, type ImageShape, type VitSize } from './sizes.js';
import { keepPositions, keepTokens, type MaskTensors } from './tokens.js';
import { encode, patchify } from './vit.js';

/** An encoder of images: sizes and fixed positions. It has no weights; every function takes those it needs. */
export interface Backbone extends ImageShape {
  readonly encoder: VitSize;
  /** Patches of an image, N. */
  readonly patchCount: number;
  readonly shapes: ParameterShapes;
  /**
   * Representations of patches: images [B, S, S, 3] -> [B, N, D], or [M B, K, D] of those that a mask keeps: the others are
   * left out before they are embedded.
   */
  forward(parameters: Parameters, images: Tensor, keep?: MaskTensors): Tensor;
  dispose(): void;
}

/** A vision transformer with fixed sine-cosine positions. */
export function createVit(size: ImageShape & { encoder: VitSize }): Backbone {
  const { imageSize, patchSize, encoder } = size;
  const grid = gridSize(size);
  const patchCount = grid * grid;
  const positions = sincosPositions(grid, encoder.dim); // [N, D]
  return {
    imageSize,
    patchSize,
    encoder,
    patchCount,
    shapes: encoderShapes(size),
    forward(parameters, images, keep) {
      if (keep) {
        const visible = keepTokens(patchify(images, patchSize), keep); // [M B, K, P]
        return encode(parameters, encoder, visible, keepPositions(positions, keep));
      }
      const everywhere = positions.expandDims(0); // [1, N, D]
      return inParts(images, patchCount * hiddenWidth(encoder), (part) =>
        encode(parameters, encoder, patchify(part, patchSize), everywhere),
      );
    },
    dispose: () => tf.dispose(positions),
  };
}
