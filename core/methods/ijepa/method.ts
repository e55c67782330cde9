import { normalise } from '../../engine/functions.js';
import { type Tensor, tf } from '../../engine/tf.js';
import { type Backbone, predict } from '../../nn/backbone.js';
import { decoderShapes, initialValue } from '../../nn/parameters.js';
import { sincosPositions } from '../../nn/positions.js';
import { gridSize, type Initialisation, type VitSize } from '../../nn/sizes.js';
import { keepTokens, repeatMasks } from '../../nn/tokens.js';
import type { MaskSettings } from '../masks/blocks.js';
import { drawMasks } from '../masks/multiblock.js';
import type { Method, NetworkSpec, Rate, Term } from '../method.js';
import { targetStd } from '../target-std.js';

/** What is predicted, [T C B, J, D], and what the context encoder gives, [C B, K, D]. */
export type Outputs = { predicted: Tensor; context: Tensor };
/** Representations of the target blocks, [T C B, J, D]. */
export type Targets = { target: Tensor };

export interface IjepaSettings {
  predictor: VitSize;
  masks: MaskSettings;
  initialisation: Initialisation;
  emaDecay: Rate;
  terms: readonly Term<Outputs, Targets>[];
}

/** Added to the variance where targets are layer-normed. */
const TARGET_EPSILON = 1e-5;

/**
 * I-JEPA (Assran et al. 2023, section 3): from the context encoder's view of some patches, a predictor gives the
 * representations that the target encoder, its moving average, has of the target blocks in the whole image.
 *
 * Letters: B images, C context and T target blocks of each, of K and J patches, N patches of an image, D width.
 */
export function ijepa(
  backbone: Backbone,
  { predictor, masks, initialisation, emaDecay, terms }: IjepaSettings,
): Method<Outputs, Targets> {
  const { encoder, shapes } = backbone;
  const positions = sincosPositions(gridSize(backbone), predictor.dim); // [N, E]
  const init: NetworkSpec['init'] = (name, shape, stream) => initialValue(name, shape, stream, initialisation);
  return {
    networks: {
      encoder: { shapes, role: { by: 'gradient' }, init },
      predictor: { shapes: decoderShapes(encoder.dim, predictor, encoder.dim), role: { by: 'gradient' }, init },
      target_encoder: { shapes, role: { by: 'ema', of: 'encoder', decay: 'emaDecay' } },
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
      const context = backbone.forward(networks.encoder, views.image, { keep: visible });
      return { context, predicted: predict(networks.predictor, predictor, context, positions, visible, target) };
    },
    terms,
    rates: { emaDecay },
    logs: [
      targetStd((_outputs, { target }, { views }) => {
        const [rows, patches, width] = target.shape as [number, number, number];
        const images = (views.image as Tensor).shape[0] as number;
        return target.reshape([rows / images, images, patches, width]).mean([0, 2]); // [b, D]
      }),
    ],
    dispose: () => tf.dispose(positions),
  };
}
