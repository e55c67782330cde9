import { choose } from '../../core/plugins/chosen.js';
import type { Objective } from '../../core/train/objective.js';
import { BUILT_IN_PLUGINS } from '../../plugins/index.js';

/** An objective of built-in terms by their names. */
export function objectiveOf(
  loss: string,
  regularizer: string,
  microBatchSize: number,
  regularizerWeight = 0.3,
): Objective {
  const terms = choose({ loss, regularizer, monitors: [] }, BUILT_IN_PLUGINS);
  return { loss: terms.loss, regularizer: terms.regularizer, regularizerWeight, microBatchSize, seed: 0 };
}
