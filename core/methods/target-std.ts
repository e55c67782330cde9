import { type Tensor, tf } from '../engine/tf.js';
import type { LogColumn } from './method.js';

/**
 * Mean over features of the standard deviation, over the batch's images, of each image's average target: it goes towards 0
 * where targets collapse.
 * @param average each image's average target, [b, D]
 */
export function targetStd<Outputs, Targets>(average: LogColumn<Outputs, Targets>['rows']): LogColumn<Outputs, Targets> {
  return {
    name: 'targetStd',
    rows: average,
    compute: (rows: Tensor) => tf.moments(rows, 0).variance.sqrt().mean(),
  };
}
