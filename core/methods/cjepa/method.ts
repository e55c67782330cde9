import { like, NONE, number } from '../../config/option.js';
import ijepa from '../ijepa/method.js';
import { PRESETS } from '../ijepa/presets.js';
import { LOSS_OPTIONS } from '../losses.js';
import { defineMethod, type Tensors, type Term } from '../method.js';
import { CPU_SMALL } from '../shared.js';

/** The paper's weight of VICReg's terms, β_vicreg, by 25 for variance and invariance; the regularizer has covariance at 1 / 25. */
const WEIGHT = 0.001 * 25;

/**
 * C-JEPA (Mo and Tong 2024, arXiv 2410.19560): I-JEPA with VICReg's three terms. Variance and covariance are those of the
 * regularizer, on the context encoder's pooled output; invariance is that of the means.
 */
export default defineMethod({
  ...ijepa,
  name: 'cjepa',
  title: 'C-JEPA',
  summary: "I-JEPA with VICReg's terms against collapse (Mo and Tong 2024)",
  options: {
    ...ijepa.options,
    regularizer: like(LOSS_OPTIONS.regularizer, { default: 'vicreg' }),
    regularizerWeight: like(LOSS_OPTIONS.regularizerWeight, { default: WEIGHT }),
    invarianceWeight: number({
      group: 'Objective',
      default: WEIGHT,
      min: 0,
      help: 'weight of the squared distance of the mean over patches of a predicted block from that of its target',
    }),
  },
  presets: {
    'paper-cjepa-vitb16': {
      summary: "C-JEPA's ViT-B/16, 600 epochs of ImageNet-1K",
      options: PRESETS['paper-vitb16'].options,
    },
    'cpu-small-cjepa': {
      summary: 'C-JEPA at the sizes of cpu-small-ijepa',
      options: {
        ...CPU_SMALL,
        predictorDim: 64,
        predictorDepth: 3,
        weightDecay: 0.05,
        finalWeightDecay: 0.05,
        ema: 0.99,
      },
    },
  },
  create(options, context) {
    const method = ijepa.create(options, context);
    return { ...method, terms: [...method.terms, invariance(options.invarianceWeight)] };
  },
  describe: ({ loss, regularizer, regularizerWeight, invarianceWeight }) =>
    `${loss}${regularizer === NONE ? '' : ` + ${regularizerWeight} x ${regularizer}`} + ${invarianceWeight} x the squared distance of means`,
});

/** mean (p̄ - t̄)² of the means over the patches of each block, [T C B, J, D] -> [T C B, D]. */
function invariance(weight: number): Term<Tensors, Tensors> {
  return {
    name: 'invariance',
    weight,
    over: 'images',
    compute: ({ predicted }, { target }) => predicted.mean(1).sub(target.mean(1)).square().mean(),
  };
}
