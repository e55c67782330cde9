import { UserError } from '../base/errors.js';
import type { Engine } from '../engine/contract.js';
import { countParameters, encoderShapes } from '../nn/parameters.js';
import { memoryBudget } from '../train/free-memory.js';
import { PROGRAM_BYTES, passValues } from '../train/memory.js';
import type { FeatureNetwork } from './network.js';

const FLOAT = 4;
const GIB = 2 ** 30;
/** Copies of the weights: the frozen encoder and the tuned one, two moments, gradients, and successors where steps copy. */
const COPIES = { planned: 6, stepwise: 9 } as const;

/**
 * How many images of a batch are computed at once: the whole batch, or half of it as often as it takes to fit into the
 * memory of the engine and of the machine. Halves, so that small differences of free memory seldom give other bits.
 * @param free bytes of memory that are free
 * @throws UserError if not even one image fits
 */
export function fineTuneMicroBatchSize(
  { name, memory }: Pick<Engine, 'name' | 'memory'>,
  network: Pick<FeatureNetwork, 'size' | 'patchSize' | 'imageSize'>,
  batchSize: number,
  free?: number,
): number {
  const { size: encoder, patchSize, imageSize } = network;
  const patches = (imageSize / patchSize) ** 2;
  const weights = countParameters(encoderShapes({ encoder, patchSize, imageSize }));
  const batches = 3 * batchSize * imageSize * imageSize * 3; // decoded ahead, normalised, on the engine
  const fixed = PROGRAM_BYTES + FLOAT * (COPIES[memory.kind] * weights + batches);
  const perImage =
    FLOAT * passValues(memory.kind, { size: encoder, rows: 1, tokens: patches, trained: true, projections: [] });
  const limit = memoryBudget(memory, null, free);
  const fitting = Math.floor((limit - fixed) / perImage);
  if (fitting < 1) {
    const gib = (bytes: number) => (bytes / GIB).toFixed(1);
    throw new UserError(
      `fine-tuning this network needs about ${gib(fixed + perImage)} GiB with one image at once; ` +
        `the engine ${name} may use ${gib(limit)}`,
      {
        expected: 'a step that fits into memory',
        remedy: 'free some memory, use another engine, or evaluate with the linear probe alone',
      },
    );
  }
  let together = batchSize;
  while (together > fitting) together = Math.ceil(together / 2);
  return together;
}
