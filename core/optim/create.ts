import type { AdamSettings, Engine } from '../engine/contract.js';
import { adamw } from './adamw.js';
import { lars, sgd } from './momentum.js';
import type { Optimiser, OptimiserName } from './optimiser.js';

/** The optimiser that options name; each takes what it needs of them. */
export function createOptimiser(
  engine: Engine,
  options: AdamSettings & { optimiser: OptimiserName; momentum: number },
): Optimiser {
  const { optimiser, momentum } = options;
  if (optimiser === 'adamw') return adamw(engine, options);
  return (optimiser === 'sgd' ? sgd : lars)(engine, { momentum, nesterov: false });
}
