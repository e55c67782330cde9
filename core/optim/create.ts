import type { AdamSettings, Engine } from '../engine/contract.js';
import { adamw } from './adamw.js';
import { clipping } from './clip.js';
import { lars, sgd } from './momentum.js';
import type { Optimiser, OptimiserName } from './optimiser.js';

export type OptimiserOptions = AdamSettings & {
  optimiser: OptimiserName;
  momentum: number;
  /** Largest norm of each parameter's gradient; 0, the default, for any. */
  clipGradient?: number;
};

/** The optimiser that options name; each takes what it needs of them. */
export function createOptimiser(engine: Engine, options: OptimiserOptions): Optimiser {
  const { optimiser: name, momentum, clipGradient = 0 } = options;
  const momentumOf = name === 'sgd' ? sgd : lars;
  const optimiser = name === 'adamw' ? adamw(engine, options) : momentumOf(engine, { momentum, nesterov: false });
  return clipGradient > 0 ? clipping(engine, optimiser, clipGradient) : optimiser;
}
