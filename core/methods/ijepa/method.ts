import { grouped, integer } from '../../config/option.js';
import type { Options } from '../../config/schema.js';
import { decoderSize, encoderSize } from '../../config/settings.js';
import { normalise } from '../../engine/functions.js';
import { type Tensor, tf } from '../../engine/tf.js';
import { decoderPass, encoderPass } from '../../nn/cost.js';
import { predict } from '../../nn/masked-decoder.js';
import { decoderShapes } from '../../nn/parameters.js';
import { sincosPositions } from '../../nn/positions.js';
import { ARCHITECTURES, gridSize } from '../../nn/sizes.js';
import { keepTokens, repeatMasks } from '../../nn/tokens.js';
import { usualValues } from '../initial.js';
import { describeLosses, LOSS_OPTIONS, lossRequests, lossTerms } from '../losses.js';
import { drawMasks } from '../masks/blocks.js';
import { describeMultiblock, MULTIBLOCK_OPTIONS, multiblockSettings } from '../masks/options.js';
import { defineMethod, type Method, type MethodContext, type OwnOptions } from '../method.js';
import { averageOf, emaDecay, emaOptions, TARGET_EPSILON, targetStd } from '../shared.js';
import { PRESETS } from './presets.js';

const OPTIONS = {
  ...MULTIBLOCK_OPTIONS,
  ...grouped('Model', {
    predictorDim: integer({
      min: 4,
      help: 'width of the predictor; a multiple of 4 and of the heads',
      automatic: 'as arch',
    }),
    predictorDepth: integer({ min: 1, help: 'blocks of the predictor', automatic: 'as arch' }),
  }),
  ...LOSS_OPTIONS,
  ...emaOptions(0.996, 1),
};

type Own = Options & OwnOptions<typeof OPTIONS>;

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
  create: (options, context) => ijepa(options, context),
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

/** What is predicted, [T C B, J, D], and what the context encoder gives, [C B, K, D]. */
type Outputs = { predicted: Tensor; context: Tensor };
/** Representations of the target blocks, [T C B, J, D]. */
type Targets = { target: Tensor };

/**
 * I-JEPA (Assran et al. 2023, section 3): from the context encoder's view of some patches, a predictor gives the
 * representations that the target encoder, its moving average, has of the target blocks in the whole image.
 *
 * Letters: B images, C context and T target blocks of each, of K and J patches, N patches of an image, D width.
 */
function ijepa(options: Own, context: MethodContext): Method<Outputs, Targets> {
  const { backbone } = context;
  const { encoder, shapes } = backbone;
  const predictor = predictorSize(options);
  const masks = multiblockSettings(options);
  const positions = sincosPositions(gridSize(backbone), predictor.dim); // [N, E]
  const init = usualValues(options);
  return {
    ...lossTerms<Outputs, Targets>(
      context,
      options,
      ({ predicted }, { target }) => [predicted, target],
      ({ context }) => context.mean(1), // [C B, D]
      encoder.dim,
    ),
    networks: {
      encoder: { shapes, role: { by: 'gradient' }, init },
      predictor: { shapes: decoderShapes(encoder.dim, predictor, encoder.dim), role: { by: 'gradient' }, init },
      target_encoder: { shapes, role: averageOf('encoder') },
    },
    views: [{ name: 'image', count: 1 }],
    encoders: { target: 'target_encoder', context: 'encoder' },
    sizes: { encoder, predictor },
    masks: { context: { title: 'context', role: 'visible' }, target: { title: 'target', role: 'predicted' } },
    draw(stream, imageCount) {
      const { groups, overlapping } = drawMasks(masks, imageCount, stream);
      return { groups, logs: { overlappingContexts: overlapping } };
    },
    /** The whole image; layer norm over the features without scale and bias, then the target blocks (`forward_target`). */
    targets: (networks, { views, masks: { context, target } }) =>
      tf.tidy(() => {
        const whole = backbone.forward(networks.target_encoder, views.image); // [B, N, D]
        const blocks = keepTokens(normalise(whole, TARGET_EPSILON), target); // [T B, J, D]
        return { target: repeatMasks(blocks, target, context.maskCount) };
      }),
    outputs(networks, { views, masks: { context: visible, target } }) {
      const context = backbone.forward(networks.encoder, views.image, { keep: visible }); // [C B, K, D]
      return { context, predicted: predict(networks.predictor, predictor, context, positions, visible, target) };
    },
    rates: { emaDecay: emaDecay(options) },
    logs: [
      targetStd((_outputs, { target }, { views }) => {
        const [rows, patches, width] = target.shape;
        const images = views.image.shape[0];
        return target.reshape([rows / images, images, patches, width]).mean([0, 2]); // [b, D]
      }),
    ],
    dispose: () => tf.dispose(positions),
  };
}

function predictorSize(options: Own) {
  const { arch, heads, predictorDim: dim, predictorDepth: depth } = options;
  const usual = ARCHITECTURES[arch];
  const predictor = { dim: usual.predictorDim, depth: usual.predictorDepth, heads: usual.heads };
  return decoderSize({ dim, depth, heads }, predictor, '--predictor-dim');
}
