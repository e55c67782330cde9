import type { AdamSettings, Engine } from '../engine/contract.js';
import { adamw } from './adamw.js';
import { clipping } from './clip.js';
import { lars, sgd } from './momentum.js';
import { muon } from './muon.js';
import type { Optimiser, OptimiserName } from './optimiser.js';

export type OptimiserOptions = AdamSettings & {
  optimiser: OptimiserName;
  momentum: number;
  /** Of Muon, see `MuonSettings`. */
  matrixRate: number;
  /** Largest norm of each parameter's gradient; 0, the default, for any. */
  clipGradient?: number;
};

/** The optimiser that options name; each takes what it needs of them. */
export function createOptimiser(engine: Engine, options: OptimiserOptions): Optimiser {
  const { optimiser: name, momentum, clipGradient = 0 } = options;
  const made = {
    adamw: () => adamw(engine, options),
    sgd: () => sgd(engine, { momentum, nesterov: false }),
    lars: () => lars(engine, { momentum, nesterov: false }),
    muon: () => muon(engine, options),
  };
  const optimiser = made[name]();
  return clipGradient > 0 ? clipping(engine, optimiser, clipGradient) : optimiser;
}
