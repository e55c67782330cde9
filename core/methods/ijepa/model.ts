import { inParts, normalise } from '../../engine/functions.js';
import { type Tensor, tf } from '../../engine/tf.js';
import { predict, repeatMasks } from '../../nn/masked-decoder.js';
import { encoderShapes, initialise, type Parameters, predictorShapes } from '../../nn/parameters.js';
import { sincosPositions } from '../../nn/positions.js';
import { gridSize, hiddenWidth, type Initialisation, type ModelSize } from '../../nn/sizes.js';
import { keepPositions, keepTokens, type MaskTensors } from '../../nn/tokens.js';
import { encode, patchify } from '../../nn/vit.js';

/** The weights of the three networks. */
export type Weights = {
  encoder: Parameters;
  predictor: Parameters;
  /** The exponential moving average of `encoder`. */
  target: Parameters;
};

/** The architecture: sizes and fixed positions. It has no weights; every function takes those it needs. */
export interface Ijepa {
  readonly size: ModelSize;
  /** Patches of an image, N. */
  readonly patchCount: number;
  /** Positions of the encoders, [N, D]. */
  readonly positions: Tensor;
  /** Positions of the predictor, [N, E]. */
  readonly predictorPositions: Tensor;
  dispose(): void;
}

/** Added to the variance where targets are layer-normed. */
const TARGET_EPSILON = 1e-5;

export function createIjepa(size: ModelSize): Ijepa {
  const grid = gridSize(size);
  const positions = sincosPositions(grid, size.encoder.dim);
  const predictorPositions = sincosPositions(grid, size.predictor.dim);
  return {
    size,
    patchCount: grid * grid,
    positions,
    predictorPositions,
    dispose: () => tf.dispose([positions, predictorPositions]),
  };
}

/** Fresh weights; the target encoder starts as a copy of the context encoder. */
export function initialWeights(size: ModelSize, seed: number, initialisation: Initialisation): Weights {
  const encoder = initialise(encoderShapes(size), seed, 'encoder', initialisation);
  const predictor = initialise(predictorShapes(size), seed, 'predictor', initialisation);
  const target = Object.fromEntries(Object.entries(encoder).map(([name, tensor]) => [name, tensor.clone()]));
  return { encoder, predictor, target };
}

/**
 * Every patch's representation by one of the encoders: images [B, S, S, 3] -> [B, N, D].
 */
export function encodeImages(model: Ijepa, encoder: Parameters, images: Tensor): Tensor {
  const { encoder: size, patchSize } = model.size;
  const positions = model.positions.expandDims(0); // [1, N, D]
  return inParts(images, model.patchCount * hiddenWidth(size), (part) =>
    encode(encoder, size, patchify(part, patchSize), positions),
  );
}

/**
 * The context encoder's representations of the visible patches: [B, S, S, 3] -> [C B, K, D].
 */
export function encodeContext(model: Ijepa, encoder: Parameters, images: Tensor, context: MaskTensors): Tensor {
  const visible = keepTokens(patchify(images, model.size.patchSize), context); // [C B, K, P]
  return encode(encoder, model.size.encoder, visible, keepPositions(model.positions, context));
}

/**
 * What is to be predicted: the target encoder sees the whole image; its output is layer-normed over the features
 * without scale or bias, then the target blocks are picked out (reference code, `forward_target`).
 * @param contextMasks every target is predicted from each of so many context masks
 * @returns [T C B, J, D]
 */
export function encodeTargets(
  model: Ijepa,
  target: Parameters,
  images: Tensor,
  targets: MaskTensors,
  contextMasks: number,
): Tensor {
  return tf.tidy(() => {
    const whole = normalise(encodeImages(model, target, images), TARGET_EPSILON); // [B, N, D]
    return repeatMasks(keepTokens(whole, targets), targets, contextMasks);
  });
}

/**
 * The predicted representations of the target blocks, [T C B, J, D], from the context's, [C B, K, D].
 */
export function predictTargets(
  model: Ijepa,
  predictor: Parameters,
  contextTokens: Tensor,
  context: MaskTensors,
  targets: MaskTensors,
): Tensor {
  return predict(predictor, model.size.predictor, contextTokens, model.predictorPositions, context, targets);
}
