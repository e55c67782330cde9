import { gridSize, hiddenWidth, type ModelSize, type VitSize } from './sizes.js';

/** How many tokens a training step sees of each image. */
export interface StepTokens {
  /** Context masks, C, and the patches, K, that each keeps. */
  contexts: number;
  contextPatches: number;
  /** Target masks, T, and the patches, J, that each keeps. */
  targets: number;
  targetPatches: number;
}

/**
 * Floating-point operations of the networks' matrix products in a training step, for one image. A product [a, b] [b, c]
 * takes 2 a b c.
 *
 * The target encoder sees all N patches once, without gradient. The context encoder sees C times K patches, the predictor
 * T C times K + J tokens; gradients by inputs and by weights take as many operations as the value each, but nobody needs
 * that of the images.
 */
export function stepOperations(
  size: ModelSize,
  { contexts, contextPatches, targets, targetPatches }: StepTokens,
): number {
  const { encoder, predictor } = size;
  const patches = gridSize(size) ** 2;
  const targetEncoder = embeddingOperations(size, patches) + blockOperations(encoder, patches);
  const embedding = contexts * embeddingOperations(size, contextPatches);
  const contextBlocks = contexts * blockOperations(encoder, contextPatches);
  const toPredictor = 2 * contexts * contextPatches * encoder.dim * predictor.dim;
  const fromPredictor = 2 * targets * contexts * targetPatches * predictor.dim * encoder.dim;
  const predictorBlocks =
    targets * contexts * blockOperations(predictor, contextPatches + targetPatches, contextPatches);
  return targetEncoder + 2 * embedding + 3 * (contextBlocks + toPredictor + predictorBlocks + fromPredictor);
}

/** Operations of the context encoder's values alone, for one image. */
export function contextOperations(
  size: ModelSize,
  { contexts, contextPatches }: Pick<StepTokens, 'contexts' | 'contextPatches'>,
): number {
  return contexts * (embeddingOperations(size, contextPatches) + blockOperations(size.encoder, contextPatches));
}

/** The patch embedding: [N, p p 3] [p p 3, D]. */
function embeddingOperations({ patchSize, encoder }: ModelSize, tokens: number): number {
  return 2 * tokens * patchSize ** 2 * 3 * encoder.dim;
}

/**
 * The blocks of a transformer.
 * @param skipped how many tokens have no query in the last block, and are left out after it
 */
function blockOperations(size: VitSize, tokens: number, skipped = 0): number {
  const { dim, depth } = size;
  const queriesKeysValues = 2 * tokens * dim * 3 * dim;
  const attention = 2 * (2 * tokens * dim); // of a token: its query by all keys, its weights by all values
  const projectionAndMlp = 2 * dim * dim + 2 * (2 * dim * hiddenWidth(size));
  const ofToken = attention + projectionAndMlp;
  return depth * (queriesKeysValues + tokens * ofToken) - skipped * ofToken;
}
