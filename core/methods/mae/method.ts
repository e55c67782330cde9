import type { RandomStream } from '../../base/random.js';
import { choice, grouped, integer, number } from '../../config/option.js';
import type { Options, Preset } from '../../config/schema.js';
import { decoderSize, encoderSize } from '../../config/settings.js';
import { type Tensor, tf } from '../../engine/tf.js';
import type { Backbone } from '../../nn/backbone.js';
import { decoderPass, encoderPass } from '../../nn/cost.js';
import { predict } from '../../nn/masked-decoder.js';
import { decoderShapes, lengthOf } from '../../nn/parameters.js';
import { sincosPositions } from '../../nn/positions.js';
import { gridSize, type VitSize } from '../../nn/sizes.js';
import { keepTokens } from '../../nn/tokens.js';
import { patchify } from '../../nn/vit.js';
import { xavierUniform } from '../initial.js';
import { keptPatches, randomPatches } from '../masks/random.js';
import { defineMethod, type Method, type NetworkSpec, type OwnOptions } from '../method.js';
import { CPU_SMALL, normalisedPatches } from '../shared.js';

const OPTIONS = {
  maskRatio: number({
    group: 'Masks',
    default: 0.75,
    min: 0,
    below: 1,
    open: true,
    help: 'fraction of the patches that the encoder does not see and the decoder has to give',
  }),
  pixelTargets: choice({
    group: 'Objective',
    default: 'normalised',
    choices: ['normalised', 'raw'],
    help: 'whether the pixels of each patch are normalised before they are predicted',
  }),
  ...grouped('Model', {
    decoderDim: integer({
      min: 4,
      help: 'width of the decoder; a multiple of 4 and of its heads',
      automatic: "the paper's 512 for ViT-B and larger, half the encoder's width below",
    }),
    decoderDepth: integer({
      min: 1,
      help: 'blocks of the decoder',
      automatic: "the paper's 8 for ViT-B and larger, 4 below, never more than the encoder's",
    }),
    decoderHeads: integer({
      min: 1,
      help: 'attention heads of the decoder',
      automatic: "the paper's 16 for ViT-B and larger, the encoder's below",
    }),
  }),
};
type Own = Options & OwnOptions<typeof OPTIONS>;

/** The paper's settings (appendix A.1; official code, PRETRAIN.md): a base rate of 1.5e-4 for 256 images. */
const PAPER = { imageSize: 224, batchSize: 4096, epochs: 1600, warmupEpochs: 40, learningRate: 2.4e-3 };
const paper = (model: string, values: Preset['options']): Preset => ({
  summary: `MAE's ${model}, 1600 epochs of ImageNet-1K`,
  options: { ...PAPER, ...values },
});
/** From this width on, the decoder is the paper's. */
const PAPER_WIDTH = 768;

export default defineMethod({
  name: 'mae',
  title: 'MAE',
  summary: 'gives the pixels of the patches that its encoder does not see (He et al. 2022)',
  options: OPTIONS,
  defaults: {
    cropScale: [0.2, 1],
    flip: 0.5,
    beta2: 0.95,
    startLearningRate: 0,
    finalLearningRate: 0,
    weightDecay: 0.05,
    finalWeightDecay: 0.05,
  },
  presets: {
    'paper-mae-vitb16': paper('ViT-B/16', { arch: 'vit-base' }),
    'paper-mae-vitl16': paper('ViT-L/16', { arch: 'vit-large' }),
    'paper-mae-vith14': paper('ViT-H/14', { arch: 'vit-huge', patchSize: 14 }),
    'cpu-small-mae': { summary: 'MAE at the sizes of cpu-small-ijepa', options: CPU_SMALL },
  },
  architecture: () => ({ classToken: true }),
  create: (options, { backbone }) => mae(backbone, options),
  automatic(options) {
    const { dim, depth, heads } = sizeOfDecoder(options);
    return { decoderDim: dim, decoderDepth: depth, decoderHeads: heads };
  },
  describe: ({ maskRatio, pixelTargets }) =>
    `squared distance of ${pixelTargets} pixels, ${Math.round(100 * maskRatio)}% of the patches masked`,
  passes(options) {
    const { imageSize, patchSize, maskRatio } = options;
    const encoder = { ...encoderSize(options), classToken: true };
    const patches = (imageSize / patchSize) ** 2;
    const visible = keptPatches(patches, maskRatio);
    const decoder = { visible, masked: patches - visible, outputs: 3 * patchSize ** 2 };
    return [
      encoderPass(encoder, patchSize, { patches: visible, trained: true }),
      decoderPass(encoder, sizeOfDecoder(options), decoder),
    ];
  },
});

/**
 * The masked autoencoder (He et al. 2022): the encoder sees a few random patches; from their tokens, a decoder gives the
 * pixels of all others. Tokens carry their positions, so that none has to be put back in its place.
 *
 * Letters: B images, K patches that are seen and J that are not, N = K + J, D width, P = p p 3 values of a patch.
 */
function mae(backbone: Backbone, options: Own): Method<{ predicted: Tensor }, { pixels: Tensor }> {
  const { encoder, shapes, patchSize, patchCount } = backbone;
  const decoder = sizeOfDecoder(options);
  const values = patchSize * patchSize * 3;
  const positions = sincosPositions(gridSize(backbone), decoder.dim); // [N, E]
  const init: NetworkSpec['init'] = (name, shape, stream) => xavier(name, shape, stream, values);
  return {
    networks: {
      encoder: { shapes, role: { by: 'gradient' }, init },
      decoder: { shapes: decoderShapes(encoder.dim, decoder, values), role: { by: 'gradient' }, init },
    },
    views: [{ name: 'image', count: 1 }],
    encoders: { encoder: 'encoder' },
    fixedTargets: true,
    sizes: { encoder, decoder },
    masks: {
      visible: { title: 'visible', role: 'visible' },
      masked: { title: 'masked', role: 'predicted' },
    },
    draw(stream, imageCount) {
      const kept = keptPatches(patchCount, options.maskRatio);
      return { groups: [{ imageCount, masks: randomPatches(stream, imageCount, patchCount, kept) }] };
    },
    targets(_networks, { views, masks }) {
      const pixels = keepTokens(patchify(views.image, patchSize), masks.masked); // [B, J, P]
      return { pixels: options.pixelTargets === 'normalised' ? normalisedPatches(pixels) : pixels };
    },
    outputs(networks, { views, masks: { visible, masked } }) {
      const tokens = backbone.forward(networks.encoder, views.image, { keep: visible }); // [B, 1 + K, D]
      return { predicted: predict(networks.decoder, decoder, tokens, positions, visible, masked) }; // [B, J, P]
    },
    terms: [
      {
        name: 'pixels',
        weight: 1,
        over: 'images',
        compute: ({ predicted }, { pixels }) => predicted.sub(pixels).square().mean(),
      },
    ],
    rates: {},
    logs: [],
    dispose: () => tf.dispose(positions),
  };
}

/**
 * First values as in the official code: Xavier's uniform ±√(6 / (inputs + outputs)) for linear weights and the patch
 * projection as one, tokens normal with a standard deviation of 0.02, biases 0, scales 1. The bias of the patch projection
 * is that of PyTorch's convolutions, uniform ±1 / √(p p 3).
 */
function xavier(name: string, shape: readonly number[], stream: RandomStream, patchValues: number): Float32Array {
  const data = new Float32Array(lengthOf(shape));
  if (name.endsWith('token')) return data.map(() => 0.02 * stream.normal());
  if (name === 'patch_embed.proj.bias') return data.map(() => stream.uniform(-1, 1) / Math.sqrt(patchValues));
  if (name.endsWith('bias')) return data;
  if (shape.length === 1) return data.fill(1);
  return xavierUniform(shape, stream);
}

function sizeOfDecoder(options: Own): VitSize {
  const encoder = encoderSize(options);
  const isPapers = encoder.dim >= PAPER_WIDTH;
  const { decoderDim: dim, decoderDepth: depth, decoderHeads: heads } = options;
  const small = { dim: roundUp(encoder.dim / 2, heads ?? encoder.heads), depth: Math.min(4, encoder.depth) };
  const usual = isPapers ? { dim: 512, depth: 8, heads: 16 } : { ...small, heads: encoder.heads };
  return decoderSize({ dim, depth, heads }, usual, '--decoder-dim');
}

/** The next width that 4 and the heads divide. */
function roundUp(width: number, heads: number): number {
  let next = Math.ceil(width);
  while (next % 4 !== 0 || next % heads !== 0) next++;
  return next;
}
