import { resolveOptions } from '../../core/config/resolve.js';
import { maskSettings } from '../../core/config/settings.js';
import { masksOfStep } from '../../core/methods/masks/coverage.js';

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
  const { options } = resolveOptions({ flags: { imageSize, patchSize } });
  const settings = maskSettings(options);
  const rounds = Array.from({ length: ROUNDS }, (_, round) => {
    const start = performance.now();
    for (let step = 1; step <= STEPS; step++) masksOfStep(settings, BATCH, round, step);
    return ((performance.now() - start) * 1000) / (STEPS * BATCH);
  }).sort((a, b) => a - b);
  const grid = `${settings.gridSize} x ${settings.gridSize}`;
  const [fastest, median] = [rounds[0] as number, rounds[ROUNDS >> 1] as number];
  process.stdout.write(`grid ${grid}: ${median.toFixed(1)} µs an image (fastest ${fastest.toFixed(1)})\n`);
}
