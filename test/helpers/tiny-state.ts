import { initialWeights } from '../../core/methods/ijepa/model.js';
import type { ModelSize } from '../../core/nn/sizes.js';
import { initialTrainState, type TrainState } from '../../core/train/step.js';

const VIT = { dim: 8, depth: 1, heads: 2, mlpRatio: 2 };
/** A model of a few thousand weights. */
export const TINY: ModelSize = { imageSize: 8, patchSize: 4, encoder: VIT, predictor: VIT };

/** Its state before the first step. */
export function tinyState(): TrainState {
  return initialTrainState(initialWeights(TINY, 0, 'scaled'));
}
