import type { AdamSettings, Engine } from '../engine/contract.js';
import { adamw } from './adamw.js';
import { lars, type MomentumSettings, sgd } from './momentum.js';
import type { Optimiser, OptimiserName } from './optimiser.js';

/** What a run's options say of its optimiser. */
export interface OptimiserOptions extends AdamSettings, Pick<MomentumSettings, 'momentum'> {
  readonly optimiser: OptimiserName;
}

/** The optimiser that options name; each takes what it needs of them. */
export function createOptimiser(engine: Engine, options: OptimiserOptions): Optimiser {
  const { optimiser, momentum } = options;
  if (optimiser === 'adamw') return adamw(engine, options);
  return (optimiser === 'sgd' ? sgd : lars)(engine, { momentum, nesterov: false });
}
