import type { RandomStream } from '../../base/random.js';
import { normalise } from '../../engine/functions.js';
import { type Tensor, tf } from '../../engine/tf.js';
import { type Backbone, predict } from '../../nn/backbone.js';
import { decoderShapes } from '../../nn/parameters.js';
import { sincosPositions } from '../../nn/positions.js';
import { gridSize, type VitSize } from '../../nn/sizes.js';
import { keepTokens, tokenIndices } from '../../nn/tokens.js';
import { patchify } from '../../nn/vit.js';
import type { Method, NetworkSpec } from '../method.js';

export interface MaeSettings {
  decoder: VitSize;
  /** Fraction of the patches that the encoder does not see. */
  maskRatio: number;
  /** Whether the pixels of each patch are normalised before they are predicted. */
  normalisePixels: boolean;
}

/** Added to the variance of a patch's pixels. */
const PIXEL_EPSILON = 1e-6;

/**
 * The masked autoencoder (He et al. 2022): the encoder sees a few random patches; from their tokens, a decoder gives the
 * pixels of all others. Tokens carry their positions, so that none has to be put back in its place.
 *
 * Letters: B images, K patches that are seen and J that are not, N = K + J, D width, P = p p 3 values of a patch.
 */
export function mae(
  backbone: Backbone,
  { decoder, maskRatio, normalisePixels }: MaeSettings,
): Method<{ predicted: Tensor }, { pixels: Tensor }> {
  const { encoder, shapes, patchSize, patchCount } = backbone;
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
    sizes: { encoder, decoder },
    masks: {
      visible: { title: 'visible', role: 'visible' },
      masked: { title: 'masked', role: 'predicted' },
    },
    draw(stream, imageCount) {
      const kept = keptPatches(patchCount, maskRatio);
      const orders = Array.from({ length: imageCount }, () => stream.permutation(patchCount));
      const visible = tokenIndices([orders.map((order) => order.slice(0, kept).sort())], patchCount);
      const masked = tokenIndices([orders.map((order) => order.slice(kept).sort())], patchCount);
      return { groups: [{ imageCount, masks: { visible, masked } }] };
    },
    targets(_networks, { views, masks }) {
      const pixels = keepTokens(patchify(views.image, patchSize), masks.masked); // [B, J, P]
      return { pixels: normalisePixels ? normalisedPatches(pixels, values) : pixels };
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

/** How many patches are seen; rounded down, as in the official code. */
export function keptPatches(patchCount: number, maskRatio: number): number {
  return Math.floor(patchCount * (1 - maskRatio));
}

/** (x - mean) / √(variance + ε) over a patch's n values, with the unbiased variance of the official code (n - 1). */
function normalisedPatches(pixels: Tensor, n: number): Tensor {
  const biased = (n - 1) / n;
  return normalise(pixels, PIXEL_EPSILON * biased).mul(Math.sqrt(biased));
}

/**
 * First values as in the official code: Xavier's uniform ±√(6 / (inputs + outputs)) for linear weights and the patch
 * projection as one, tokens normal with a standard deviation of 0.02, biases 0, scales 1. The bias of the patch projection
 * is that of PyTorch's convolutions, uniform ±1 / √(p p 3).
 */
function xavier(name: string, shape: readonly number[], stream: RandomStream, patchValues: number): Float32Array {
  const size = shape.reduce((product, side) => product * side, 1);
  const data = new Float32Array(size);
  if (name.endsWith('token')) return data.map(() => 0.02 * stream.normal());
  if (name === 'patch_embed.proj.bias') return data.map(() => stream.uniform(-1, 1) / Math.sqrt(patchValues));
  if (name.endsWith('bias')) return data;
  if (shape.length === 1) return data.fill(1);
  const [outputs = 1] = shape;
  const limit = Math.sqrt(6 / (outputs + data.length / outputs));
  return data.map(() => stream.uniform(-limit, limit));
}
