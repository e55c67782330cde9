import { integer } from '../../config/option.js';
import type { Options } from '../../config/schema.js';
import { decoderSize, encoderSize } from '../../config/settings.js';
import { decoderPass, encoderPass } from '../../nn/cost.js';
import { ARCHITECTURES } from '../../nn/sizes.js';
import { emaDecay, emaOptions } from '../ema-options.js';
import { describeLosses, LOSS_OPTIONS, lossRequests, lossTerms } from '../losses.js';
import { describeMultiblock, MULTIBLOCK_OPTIONS, multiblockSettings } from '../masks/options.js';
import { defineMethod, type OwnOptions } from '../method.js';
import { ijepa, type Outputs, type Targets } from './method.js';
import { PRESETS } from './presets.js';

const OPTIONS = {
  ...MULTIBLOCK_OPTIONS,
  predictorDim: integer({
    group: 'Model',
    min: 4,
    help: 'width of the predictor; a multiple of 4 and of the heads',
    automatic: 'as arch',
  }),
  predictorDepth: integer({ group: 'Model', min: 1, help: 'blocks of the predictor', automatic: 'as arch' }),
  ...LOSS_OPTIONS,
  ...emaOptions(0.996, 1),
};

/** What benchmarks train with, so that times can be compared with the reference code's. */
const REFERENCE_LOSS = { loss: 'smooth-l1', regularizerWeight: 1 };

export default defineMethod({
  name: 'ijepa',
  title: 'I-JEPA',
  summary: 'predicts representations of target blocks from a context block (Assran et al. 2023)',
  options: OPTIONS,
  defaults: {},
  presets: PRESETS,
  extensions: (options) => lossRequests(options),
  create(options, context) {
    const { backbone } = context;
    const { terms, check } = lossTerms<Outputs, Targets>(
      context,
      options,
      ({ predicted }, { target }) => [predicted, target],
      ({ context }) => context.mean(1), // [C B, D]
      backbone.encoder.dim,
    );
    const method = ijepa(backbone, {
      predictor: predictorSize(options),
      masks: multiblockSettings(options),
      initialisation: options.init,
      emaDecay: emaDecay(options),
      terms,
    });
    return { ...method, check };
  },
  automatic: (options) => ({
    predictorDim: predictorSize(options).dim,
    predictorDepth: predictorSize(options).depth,
    minKeep: multiblockSettings(options).minKeep,
  }),
  describe: (options) => describeLosses(options),
  passes(options, { context = 0, target = 0 }) {
    const { imageSize, patchSize, contextBlocks, targetBlocks } = options;
    const encoder = encoderSize(options);
    const tokens = { visible: context, masked: target, outputs: encoder.dim };
    const rows = { rows: targetBlocks * contextBlocks, contexts: contextBlocks };
    return [
      encoderPass(encoder, patchSize, { patches: (imageSize / patchSize) ** 2, trained: false }),
      encoderPass(encoder, patchSize, { rows: contextBlocks, patches: context, trained: true }),
      decoderPass(encoder, predictorSize(options), { ...rows, ...tokens }),
    ];
  },
  describeMasks: (options) => describeMultiblock(options),
  benchmarks: {
    a: { masks: { context: [1, 80], target: [4, 36] }, options: REFERENCE_LOSS },
    b: { masks: { context: [1, 60], target: [4, 25] }, options: REFERENCE_LOSS },
    tiny: {
      masks: { context: [1, 30], target: [4, 10] },
      options: { ...REFERENCE_LOSS, predictorDim: 48, predictorDepth: 2 },
    },
  },
});

function predictorSize(options: Options & OwnOptions<typeof OPTIONS>) {
  const { arch, heads, predictorDim: dim, predictorDepth: depth } = options;
  const usual = ARCHITECTURES[arch];
  const predictor = { dim: usual.predictorDim, depth: usual.predictorDepth, heads: usual.heads };
  return decoderSize({ dim, depth, heads }, predictor, '--predictor-dim');
}
