import { automatic, integer, NONE, named, number } from '../../config/option.js';
import type { Options } from '../../config/schema.js';
import { checkWidth, encoderSize } from '../../config/sizes.js';
import { ARCHITECTURES, type VitSize } from '../../nn/sizes.js';
import { type EmaOptions, emaDecay, emaOptions } from '../ema-options.js';
import { predictionTerm, regularizerTerm, tryExtensions } from '../losses.js';
import { describeCut } from '../masks/coverage.js';
import { MULTIBLOCK_OPTIONS, type MultiblockOptions, multiblockSettings } from '../masks/options.js';
import { type BenchmarkMasks, defineMethod, type MethodContext, type OwnOptions } from '../method.js';
import { ijepa, type Outputs, type Targets } from './method.js';
import { PRESETS } from './presets.js';

const OPTIONS = {
  ...MULTIBLOCK_OPTIONS,
  predictorDim: automatic(
    integer({ group: 'Model', default: 0, min: 4, help: 'width of the predictor; a multiple of 4 and of the heads' }),
    'as arch',
  ),
  predictorDepth: automatic(
    integer({ group: 'Model', default: 0, min: 1, help: 'blocks of the predictor' }),
    'as arch',
  ),
  loss: named({
    group: 'Objective',
    default: 'l2',
    nameOf: 'a loss',
    help: "distance of predicted and target representations: l2, the paper's squared distance; smooth-l1, the reference code's; or one of a plugin",
  }),
  regularizer: named({
    group: 'Objective',
    default: NONE,
    nameOf: 'a regularizer',
    help: "term against collapse, on the context encoder's pooled output: vicreg, by variance and covariance; sigreg, by distance from a normal distribution; one of a plugin; or none",
  }),
  regularizerWeight: number({ group: 'Objective', default: 0.3, min: 0, help: 'weight of that term' }),
  ...emaOptions(0.996, 1),
};
type Own = Options & OwnOptions<typeof OPTIONS> & MultiblockOptions & EmaOptions;

/** The reference code's predictor has the usual ratio, whatever the encoder's. */
const PREDICTOR_MLP_RATIO = 4;

export default defineMethod({
  name: 'ijepa',
  title: 'I-JEPA',
  summary: 'predicts representations of target blocks from a context block (Assran et al. 2023)',
  options: OPTIONS,
  defaults: {},
  presets: PRESETS,
  extensions: ({ loss, regularizer }) => ({
    loss: { kind: 'loss', name: loss, option: 'loss' },
    regularizer:
      regularizer === NONE ? null : { kind: 'regularizer', name: regularizer, option: 'regularizer', none: true },
  }),
  create(options, context) {
    const { backbone } = context;
    const { loss, regularizer } = extensionsOf(context);
    const { dim } = backbone.encoder;
    const method = ijepa(backbone, {
      predictor: predictorSize(options),
      masks: multiblockSettings(options),
      initialisation: options.init,
      emaDecay: emaDecay(options),
      terms: [
        predictionTerm<Outputs, Targets>(loss, ({ predicted }, { target }) => [predicted, target]),
        ...(regularizer && options.regularizerWeight > 0
          ? [regularizerTerm<Outputs, Targets>(regularizer, options.regularizerWeight, (o) => o.context.mean(1), dim)]
          : []),
      ],
    });
    return { ...method, check: () => tryExtensions([loss, regularizer], dim) };
  },
  automatic: (options) => ({
    predictorDim: predictorSize(options).dim,
    predictorDepth: predictorSize(options).depth,
    minKeep: multiblockSettings(options).minKeep,
  }),
  describe: ({ loss, regularizer, regularizerWeight }) =>
    regularizer === NONE
      ? `${loss}, no term against collapse`
      : `${loss} + ${regularizerWeight} x ${regularizer}, a term against collapse that the paper does not have`,
  passes(options, { contextPatches: K = 0, targetPatches: J = 0 }) {
    const { imageSize, patchSize, contextBlocks: C, targetBlocks: T } = options;
    const encoder = encoderSize(options);
    const predictor = predictorSize(options);
    const N = (imageSize / patchSize) ** 2;
    const embedding = (tokens: number) => ({
      tokens,
      inputs: 3 * patchSize ** 2,
      outputs: encoder.dim,
      ofConstants: true,
    });
    return [
      { size: encoder, rows: 1, tokens: N, trained: false, projections: [embedding(N)] },
      { size: encoder, rows: C, tokens: K, trained: true, projections: [embedding(C * K)] },
      {
        size: predictor,
        rows: T * C,
        tokens: K + J,
        queryOffset: K,
        trained: true,
        projections: [
          { tokens: C * K, inputs: encoder.dim, outputs: predictor.dim },
          { tokens: T * C * J, inputs: predictor.dim, outputs: encoder.dim },
        ],
      },
    ];
  },
  describeMasks(options) {
    const settings = multiblockSettings(options);
    return [
      `${settings.targetBlocks} targets, every block keeps at least ${settings.minKeep} patches`,
      describeCut(settings, options.batchSize, options.seed),
    ];
  },
  benchmarks: {
    a: benchmarkMasks(80, 36),
    b: benchmarkMasks(60, 25),
    tiny: { ...benchmarkMasks(30, 10), options: { predictorDim: 48, predictorDepth: 2 } },
  },
});

function benchmarkMasks(contextPatches: number, targetPatches: number): BenchmarkMasks {
  return {
    masks: { context: [1, contextPatches], targets: [4, targetPatches] },
    logs: { contextPatches, targetPatches },
  };
}

function predictorSize({ arch, heads, predictorDim, predictorDepth }: Own): VitSize {
  const named = ARCHITECTURES[arch];
  const size = {
    dim: predictorDim ?? named.predictorDim,
    depth: predictorDepth ?? named.predictorDepth,
    heads: heads ?? named.heads,
    mlpRatio: PREDICTOR_MLP_RATIO,
  };
  checkWidth('--predictor-dim', size.dim, size.heads);
  return size;
}

function extensionsOf({ extensions: { loss, regularizer = null } }: MethodContext) {
  if (loss?.kind !== 'loss' || (regularizer && regularizer.kind !== 'regularizer'))
    throw new Error('no loss was found');
  return { loss, regularizer };
}
