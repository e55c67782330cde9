import { UserError } from '../../base/errors.js';
import type { RandomStream } from '../../base/random.js';
import { choice, grouped, integer, NONE, number } from '../../config/option.js';
import type { Options, Preset } from '../../config/schema.js';
import { encoderSize } from '../../config/settings.js';
import { type Scalar, type Tensor, tf } from '../../engine/tf.js';
import { encoderPass, regressorPass } from '../../nn/cost.js';
import { blockShapes, linearShapes, normShapes, type ParameterShapes } from '../../nn/parameters.js';
import { sincosPositions } from '../../nn/positions.js';
import { regress, regressorShapes } from '../../nn/regressor.js';
import { gridSize, type VitSize } from '../../nn/sizes.js';
import { keepPositions, keepTokens, tokenIndices } from '../../nn/tokens.js';
import { norm, patchify, project, tokensFrom, transformerBlocks } from '../../nn/vit.js';
import { beitValue, xavierUniform } from '../initial.js';
import { blockwiseOptions, blockwiseSettings, drawBlockwisePatches } from '../masks/blockwise.js';
import { defineMethod, type Method, type MethodContext, type NetworkSpec, type OwnOptions } from '../method.js';
import { averageOf, CPU_SMALL, emaDecay, emaOptions, normalisedPatches, targetStd } from '../shared.js';
import { TOKENIZER_OPTIONS, tokenizerRequest, tokensOf, tryTokenizer } from '../tokenizers.js';

const OPTIONS = {
  ...blockwiseOptions(0.5, 'fraction of the patches that are masked of every image, in blocks'),
  ...TOKENIZER_OPTIONS,
  alignmentWeight: number({
    group: 'Objective',
    default: 2,
    min: 0,
    help: 'weight of the distance between the representations that the regressor and the encoder have of masked patches',
  }),
  ...grouped('Model', {
    regressorDepth: integer({ default: 4, min: 1, help: 'blocks of the regressor, which is as wide as the encoder' }),
    decoderDepth: integer({ default: 4, min: 1, help: 'blocks of the decoder, which is as wide as the encoder' }),
    layerScale: number({ default: 0.1, min: 0, open: true, help: 'first value of layer scale' }),
    firstWeights: choice({
      default: 'xavier',
      choices: ['xavier', 'beit'],
      help: "how linear weights start: with Xavier's uniform numbers, or normal and smaller in later blocks, as BEiT's do",
    }),
  }),
  ...emaOptions(0, 0),
};
type Own = Options & OwnOptions<typeof OPTIONS>;

/** The settings of the official commands (scripts, README.md), but for what this program does not have. */
const PAPER = {
  ...{ imageSize: 224, batchSize: 2048, epochs: 1600, warmupEpochs: 40 },
  ...{ learningRate: 1.5e-3, finalLearningRate: 1e-5 },
};
const paper = (model: string, values: Preset['options']): Preset => ({
  summary: `CAE's ${model}, 1600 epochs of ImageNet-1K, but with pixels as targets`,
  options: { ...PAPER, ...values },
});

export default defineMethod({
  name: 'cae',
  title: 'CAE',
  summary: 'predicts in the space of representations, then decodes what masked patches hold (Chen et al. 2022)',
  options: OPTIONS,
  defaults: {
    cropScale: [0.08, 1],
    flip: 0.5,
    startLearningRate: 0,
    weightDecay: 0.05,
    finalWeightDecay: 0.05,
  },
  presets: {
    'paper-cae-vitb16': paper('ViT-B/16', { arch: 'vit-base' }),
    'paper-cae-vitl16': paper('ViT-L/16', { arch: 'vit-large', layerScale: 1e-5, firstWeights: 'beit' }),
    'cpu-small-cae': {
      summary: 'CAE at the sizes of cpu-small-ijepa',
      options: { ...CPU_SMALL, regressorDepth: 2, decoderDepth: 2 },
    },
  },
  architecture: () => ({ classToken: true, layerScale: true }),
  extensions: (options) => ({ tokenizer: tokenizerRequest(options) }),
  create: (options, context) => cae(options, context),
  automatic: (options) => ({ minBlockPatches: maskSettings(options).minBlockPatches }),
  describe: ({ tokenizer, alignmentWeight, maskRatio }) =>
    `${tokenizer === NONE ? 'squared distance of normalised pixels' : `cross-entropy of the tokens of ${tokenizer}`} + ` +
    `${alignmentWeight} x alignment, ${Math.round(100 * maskRatio)}% of the patches masked`,
  passes(options) {
    const { patchSize, regressorDepth, decoderDepth } = options;
    const size = { ...encoderSize(options), classToken: true };
    const { gridSize, maskedPatches: masked } = maskSettings(options);
    const visible = gridSize ** 2 - masked;
    const head = { tokens: masked, inputs: size.dim, outputs: 3 * patchSize ** 2 };
    return [
      encoderPass(size, patchSize, { patches: masked, trained: false }),
      encoderPass(size, patchSize, { patches: visible, trained: true }),
      regressorPass({ ...size, depth: regressorDepth }, { visible, masked }),
      { size: { ...size, depth: decoderDepth }, rows: 1, tokens: masked, trained: true, projections: [head] },
    ];
  },
});

/** Of masked patches: representations [B, J, D], and pixels or logits of tokens [B, J, P or V]. */
type Outputs = { latent: Tensor; decoded: Tensor };
/** The same as they are to be: the teacher's representations, and pixels or probabilities of tokens. */
type Targets = { latent: Tensor; content: Tensor };

/**
 * The context autoencoder (Chen et al. 2022, section 3): an encoder that sees the visible patches alone, a regressor that
 * gives, from what it made of them, the representations of the masked ones, and a decoder that makes of these, without the
 * visible ones, the pixels or tokens of the masked patches. What the regressor gives is drawn to what the encoder makes of
 * the masked patches: its teacher, which is the encoder as it is where the average's decay is 0, the paper's way.
 *
 * Letters: B images, K visible and J masked patches, N = K + J, D width, P = p p 3 values of a patch, V tokens.
 */
export function cae(
  options: Own,
  { backbone, extensions: { tokenizer = null } }: MethodContext,
): Method<Outputs, Targets> {
  if (tokenizer !== null && tokenizer.kind !== 'tokenizer') throw new Error('the extension is no tokenizer');
  const { encoder, shapes, patchSize, patchCount } = backbone;
  const { regressorDepth, decoderDepth, alignmentWeight } = options;
  const regressor = { ...encoder, classToken: false, depth: regressorDepth };
  const decoder = { ...regressor, depth: decoderDepth };
  const positions = sincosPositions(gridSize(backbone), encoder.dim); // [N, D]
  const masks = maskSettings(options);
  const init: NetworkSpec['init'] = (name, shape, stream) => firstValue(name, shape, stream, options);
  const trained = (shapes: ParameterShapes): NetworkSpec => ({ shapes, role: { by: 'gradient' }, init });
  const contentWidth = tokenizer?.item.vocabularySize ?? 3 * patchSize ** 2;
  return {
    networks: {
      encoder: trained(shapes),
      regressor: trained(regressorShapes(regressor)),
      decoder: trained(decoderShapes(decoder, contentWidth)),
      teacher: { shapes, role: averageOf('encoder') },
    },
    views: [{ name: 'image', count: 1 }],
    encoders: { encoder: 'encoder' },
    sizes: { encoder, regressor, decoder },
    masks: {
      visible: { title: 'visible', role: 'visible' },
      masked: { title: 'masked', role: 'predicted' },
    },
    draw(stream, imageCount) {
      const drawn = Array.from({ length: imageCount }, () => drawBlockwisePatches(masks, stream));
      const visible = tokenIndices([drawn.map((image) => image.visible)], patchCount);
      const masked = tokenIndices([drawn.map((image) => image.masked)], patchCount);
      return { groups: [{ imageCount, masks: { visible, masked } }] };
    },
    targets: ({ teacher }, { views, masks: { masked } }) =>
      tf.tidy(() => {
        const latent = tokensFrom(backbone.forward(teacher, views.image, { keep: masked }), 1); // [B, J, D]
        if (tokenizer) return { latent, content: keepTokens(tokensOf(tokenizer, views.image, patchSize), masked) };
        const pixels = keepTokens(patchify(views.image, patchSize), masked); // [B, J, P]
        return { latent, content: normalisedPatches(pixels) };
      }),
    outputs(networks, { views, masks: { visible, masked } }) {
      const seen = backbone.forward(networks.encoder, views.image, { keep: visible }); // [B, 1 + K, D]
      const context = tokensFrom(seen, 1); // [B, K, D]
      const places = keepPositions(positions, masked); // [B, J, D]
      const ofAll = tf.concat([keepPositions(positions, visible), places], 1); // [B, N, D]
      const latent = regress(networks.regressor, regressor, context, ofAll); // [B, J, D]
      const [last] = transformerBlocks(networks.decoder, 'blocks', decoder, latent.add(places));
      return { latent, decoded: project(networks.decoder, 'head', norm(networks.decoder, 'norm', last)) };
    },
    terms: [
      {
        name: tokenizer ? 'tokens' : 'pixels',
        weight: 1,
        over: 'images',
        compute: ({ decoded }, { content }) =>
          tokenizer ? crossEntropy(content, decoded) : decoded.sub(content).square().mean(),
      },
      {
        name: 'alignment',
        weight: alignmentWeight,
        over: 'images',
        compute: (outputs, targets) => outputs.latent.sub(targets.latent).square().mean(),
      },
    ],
    rates: { emaDecay: emaDecay(options) },
    logs: [targetStd((_outputs, { latent }) => latent.mean(1))],
    check: async () => (tokenizer ? tryTokenizer(tokenizer, backbone) : undefined),
    dispose: () => tf.dispose(positions),
  };
}

/** Mean over patches of -Σ p log q, of probabilities p and logits of q, [B, J, V]. */
function crossEntropy(probabilities: Tensor, logits: Tensor): Scalar {
  return probabilities.mul(tf.logSoftmax(logits)).sum(2).neg().mean();
}

function decoderShapes(size: VitSize, outputs: number): ParameterShapes {
  return {
    ...blockShapes('blocks', size),
    ...normShapes('norm', size.dim),
    ...linearShapes('head', size.dim, outputs),
  };
}

/**
 * First values as in the official code: those of BEiT, but Xavier's for linear weights unless `--fix_init_weight` is given,
 * which its commands do for ViT-L.
 */
function firstValue(
  name: string,
  shape: readonly number[],
  stream: RandomStream,
  { firstWeights, layerScale }: Own,
): Float32Array {
  if (firstWeights === 'xavier' && shape.length === 2) return xavierUniform(shape, stream);
  return beitValue(name, shape, stream, layerScale);
}

/** @throws UserError where no patch would be visible */
function maskSettings(options: Own) {
  const settings = blockwiseSettings(options);
  const patches = settings.gridSize ** 2;
  if (settings.maskedPatches < patches) return settings;
  throw new UserError(`no patch of an image would be visible: ${patches} of ${patches} would be masked`, {
    expected: 'at least one visible patch, and one that is masked',
    remedy: patches > 1 ? 'use a smaller --mask-ratio' : 'use a smaller --patch-size',
  });
}
