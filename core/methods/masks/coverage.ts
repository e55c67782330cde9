import { RandomStream } from '../../base/random.js';
import { meanPatches } from '../batch.js';
import type { MaskSettings } from './blocks.js';
import { drawMasks } from './multiblock.js';

/** Images over which numbers of patches are counted, in whole batches. */
const COUNTED = 1000;
/** Every step draws sizes of its own: over fewer of them, numbers of patches tell little. */
const FEWEST_STEPS = 8;

/** What a context block keeps of the patches that were drawn, and what cutting costs, for people. */
export function describeCut(settings: MaskSettings, batchSize: number, seed: number): string {
  const steps = Math.max(FEWEST_STEPS, Math.ceil(COUNTED / batchSize));
  let [drawn, kept, keptOfBatch] = [0, 0, 0];
  for (let step = 1; step <= steps; step++) {
    const { groups, drawnPatches } = drawMasks(settings, batchSize, new RandomStream(seed, 'masks', step));
    drawn += drawnPatches / steps;
    kept += (meanPatches(groups).context ?? 0) / steps;
    keptOfBatch += Math.min(...groups.map(({ masks }) => masks.context.tokenCount)) / steps;
  }
  const percent = (fraction: number) => `${(100 * fraction).toFixed(0)}%`;
  const cut = (left: number) => percent(1 - left / drawn);
  const patches = settings.gridSize ** 2;
  const group = Math.min(settings.group ?? batchSize, batchSize);
  return (
    `a context keeps ${kept.toFixed(1)} of ${patches} patches (${percent(kept / patches)}): ` +
    `of the ${drawn.toFixed(1)} outside its targets, cutting ${group} images to their smallest takes ${cut(kept)} away` +
    (group < batchSize ? `; cutting all ${batchSize} together would take ${cut(keptOfBatch)}` : '')
  );
}
