import { RandomStream } from '../../core/base/random.js';
import { resolveOptions } from '../../core/config/resolve.js';
import type { Options } from '../../core/config/schema.js';
import { drawMasks } from '../../core/methods/masks/blocks.js';
import { type MultiblockOptions, multiblockSettings } from '../../core/methods/masks/options.js';
import { METHODS } from '../../core/methods/registry.js';

/*
 * Times the drawing of masks with the paper's settings: `npm run bench:masks`.
 */
const BATCH = 64;
const STEPS = 500;
const ROUNDS = 5;

for (const [imageSize, patchSize] of [
  [64, 8],
  [224, 16],
  [224, 14],
] as const) {
  const { options } = resolveOptions({ methods: METHODS, flags: { imageSize, patchSize } });
  const settings = multiblockSettings(options as Options & MultiblockOptions);
  const rounds = Array.from({ length: ROUNDS }, (_, round) => {
    const start = performance.now();
    for (let step = 1; step <= STEPS; step++) drawMasks(settings, BATCH, new RandomStream(round, 'masks', step));
    return ((performance.now() - start) * 1000) / (STEPS * BATCH);
  }).sort((a, b) => a - b);
  const grid = `${settings.gridSize} x ${settings.gridSize}`;
  const [fastest, median] = [rounds[0] as number, rounds[ROUNDS >> 1] as number];
  process.stdout.write(`grid ${grid}: ${median.toFixed(1)} µs an image (fastest ${fastest.toFixed(1)})\n`);
}
