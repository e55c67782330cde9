import type { RecordedModel } from '../../core/checkpoint/checkpoint.js';
import { initialState, type StateShapes, stateShapes, type TrainState } from '../../core/train/state.js';
import { methodOf, TINY } from './method.js';

const SLOTS = ['first', 'second'];

/** What checkpoints of the tiny model say. */
export const TINY_MODEL: RecordedModel = {
  method: 'I-JEPA',
  encoders: { target: 'target_encoder', context: 'encoder' },
  imageSize: TINY.imageSize,
  patchSize: TINY.patchSize,
  sizes: {
    encoder: { dim: 8, depth: 1, heads: 2, mlpRatio: 4 },
    predictor: { dim: 8, depth: 1, heads: 2, mlpRatio: 4 },
  },
};

/** Its state before the first step. */
export function tinyState(): TrainState {
  return initialState(methodOf(TINY).method, SLOTS, 0);
}

export function tinyShapes(): StateShapes {
  return stateShapes(methodOf(TINY).method, SLOTS);
}
