import type { RandomStream } from '../../base/random.js';
import { encoderSize } from '../../config/settings.js';
import { gelu } from '../../engine/functions.js';
import { type Tensor, tf } from '../../engine/tf.js';
import type { Backbone } from '../../nn/backbone.js';
import { encoderPass } from '../../nn/cost.js';
import { applyMlpHead, initialMlpHead, mlpHeadProjections, mlpHeadShapes } from '../../nn/mlp-head.js';
import { initialValue, lengthOf, type Parameters, parameter } from '../../nn/parameters.js';
import { unit } from '../../nn/projection-head.js';
import { classTokens } from '../../nn/vit.js';
import { keptPatches, randomPatches } from '../masks/random.js';
import { defineMethod, type Method, type Networks } from '../method.js';
import { localSize } from '../self-distillation/options.js';
import { averageOf, emaDecay, entropy, targetStd } from '../shared.js';
import { OPTIONS, type Own, PRESETS, sizeOfHead, viewsOf } from './options.js';

export default defineMethod({
  name: 'msn',
  title: 'MSN',
  summary: 'assigns masked views to the prototypes of the whole image (Assran et al. 2022)',
  options: OPTIONS,
  defaults: { flip: 0.5, jitter: 0.5, blur: 0.5 },
  presets: PRESETS,
  architecture: () => ({ classToken: true, classFeatures: true }),
  create: (options, { backbone }) => msn(backbone, options),
  automatic: (options) => ({ localImageSize: localSize(options) }),
  describe: ({ prototypes, sinkhorn, meMaxWeight, maskRatio, localCrops }) =>
    `cross-entropy of assignments to ${prototypes} prototypes, targets ${sinkhorn ? 'spread by Sinkhorn' : 'as they are'}, ` +
    `me-max ${meMaxWeight}; a crop with ${Math.round(100 * maskRatio)}% of its patches masked and ${localCrops} small ones`,
  passes(options, { visible }) {
    const { imageSize, patchSize, localCrops, projectionDim: inputs, prototypes: outputs } = options;
    const size = { ...encoderSize(options), classToken: true };
    const [whole, local] = [(imageSize / patchSize) ** 2, (localSize(options) / patchSize) ** 2];
    const assignments = (tokens: number) => [
      ...mlpHeadProjections(sizeOfHead(options), tokens),
      { tokens, inputs, outputs },
    ];
    const target = encoderPass(size, patchSize, { patches: whole, trained: false });
    const anchor = encoderPass(size, patchSize, { patches: visible, trained: true });
    const ofBothTerms = assignments(2 * (1 + localCrops));
    return [
      { ...target, projections: [...target.projections, ...assignments(1)] },
      { ...anchor, projections: [...anchor.projections, ...ofBothTerms] },
      ...(localCrops > 0 ? [encoderPass(size, patchSize, { rows: localCrops, patches: local, trained: true })] : []),
    ];
  },
});

/** Class tokens of the anchors, the masked crop first: [B, M, D]. */
type Outputs = { anchors: Tensor };
/** Class tokens of the targets: [B, D]. */
type Targets = { target: Tensor };

/**
 * Masked Siamese Networks (Assran et al. 2022, section 3). A head makes z of a view's class token; its cosines with K
 * prototypes q say to which the view is assigned. Anchors, which are a crop with masked patches and small crops, are to be
 * assigned as another crop of the image is by the target networks, p⁺, which are moving averages:
 *
 *   p = softmax(z · q / τ),   1/(M B) Σ H(p⁺, p) + λ (log K - H(p̄))
 *
 * with p⁺ of a lower temperature, spread evenly over the prototypes, and p̄ the mean of all p, whose entropy keeps anchors from
 * being all assigned alike. Both terms see the whole batch, as do the head's batch norms: one for each size of crops.
 *
 * Small crops get the positions of a large one's grid, interpolated, as in the official code; here they are fixed.
 * Letters: B images, M anchors of each, D width, E width of a projection, K prototypes.
 */
export function msn(backbone: Backbone, options: Own): Method<Outputs, Targets> {
  const { encoder, shapes, patchCount } = backbone;
  const { localCrops, maskRatio, anchorTemperature, targetTemperature, sinkhorn, meMaxWeight } = options;
  const local = backbone.atSize(localSize(options));
  const head = mlpHeadShapes(sizeOfHead(options));
  const prototypes = { weight: [options.prototypes, options.projectionDim] }; // [K, E]

  /** log p of each anchor: [B, M, D] -> [B, M, K]. */
  const predictions = (anchors: Tensor, heads: Networks) => {
    const sizes = localCrops > 0 ? tf.split(anchors, [1, localCrops], 1) : [anchors];
    const logs = sizes.map((tokens) => {
      const cosines = similarities(heads.head, heads.prototypes, tokens.reshape([-1, encoder.dim]));
      return tf.logSoftmax(cosines.div(anchorTemperature)).reshape([-1, tokens.shape[1] as number, options.prototypes]);
    });
    return tf.concat(logs, 1);
  };

  return {
    networks: {
      encoder: { shapes, role: { by: 'gradient' }, init: firstValue },
      head: { shapes: head, role: { by: 'gradient' }, init: firstValue },
      prototypes: {
        shapes: prototypes,
        role: { by: 'gradient', policy: { isDecayed: () => false } },
        init: initialMlpHead,
      },
      target_encoder: { shapes, role: averageOf('encoder') },
      target_head: { shapes: head, role: averageOf('head') },
      // The prototypes themselves, but without gradient: an average that keeps nothing.
      target_prototypes: { shapes: prototypes, role: averageOf('prototypes', 'prototypeDecay') },
    },
    views: viewsOf(options),
    encoders: { target: 'target_encoder', anchor: 'encoder' },
    sizes: { encoder },
    masks: { visible: { title: 'anchor', role: 'visible' } },
    draw(stream, imageCount) {
      const { visible } = randomPatches(stream, imageCount, patchCount, keptPatches(patchCount, maskRatio));
      return { groups: [{ imageCount, masks: { visible } }] };
    },
    targets: (networks, { views }) => ({ target: backbone.features(networks.target_encoder, views.target, 1) }),
    outputs(networks, { views, masks }) {
      const masked = classTokens(backbone.forward(networks.encoder, views.anchor, { keep: masks.visible })); // [B, D]
      const small = views.local ? [local.features(networks.encoder, views.local, 1)] : []; // [(M - 1) B, D]
      const ofImages = [masked, ...small].map((tokens) => tokens.reshape([masked.shape[0], -1, encoder.dim]));
      return { anchors: tf.concat(ofImages, 1) };
    },
    terms: [
      {
        name: 'crossEntropy',
        weight: 1,
        over: 'batch',
        rows: ({ anchors }) => anchors,
        targetRows: ({ target }) => target,
        heads: ['head', 'prototypes', 'target_head', 'target_prototypes'],
        compute(anchors, _drawn, _rates, { targets, heads }) {
          const cosines = similarities(heads.target_head, heads.target_prototypes, targets as Tensor);
          const assigned = tf.logSoftmax(cosines.div(targetTemperature)); // [B, K]
          const target = (sinkhorn ? spread(assigned) : assigned).exp();
          return target.mul(predictions(anchors, heads).mean(1)).sum(1).neg().mean();
        },
      },
      {
        name: 'meMax',
        weight: meMaxWeight,
        over: 'batch',
        rows: ({ anchors }) => anchors,
        heads: ['head', 'prototypes'],
        compute(anchors, _drawn, _rates, { heads }) {
          const mean = predictions(anchors, heads).exp().mean([0, 1]); // [K]
          return tf.sub(Math.log(options.prototypes), entropy(mean.expandDims(0))).mean();
        },
      },
    ],
    rates: { emaDecay: emaDecay(options), prototypeDecay: () => 0 },
    logs: [targetStd((_outputs, { target }) => target)],
    dispose: () => local.dispose(),
  };
}

/** Cosines of the head's outputs with the prototypes: [n, D] -> [n, K]. */
function similarities(head: Parameters, prototypes: Parameters, x: Tensor): Tensor {
  return tf.matMul(unit(applyMlpHead(head, x, gelu)), unit(parameter(prototypes, 'weight')), false, true);
}

/** Sinkhorn's iterations, as in the official code. */
const ITERATIONS = 3;

/**
 * Sinkhorn and Knopp's normalisation (Caron et al. 2020): every prototype gets the same weight of the batch, then every image
 * one; in turn. In logarithms, so that none of small weights becomes 0.
 * @param logs log of the assignments, [B, K]
 */
function spread(logs: Tensor): Tensor {
  let q = logs;
  for (let iteration = 0; iteration < ITERATIONS; iteration++) {
    q = q.sub(tf.logSumExp(q, 0, true));
    q = q.sub(tf.logSumExp(q, 1, true));
  }
  return q;
}

/**
 * First values as in the official code: truncated normal with a standard deviation of 0.02 for linear weights and the class
 * token, the patch projection normal with √(2 / inputs) (He et al. 2015), biases 0, scales 1.
 */
function firstValue(name: string, shape: readonly number[], stream: RandomStream): Float32Array {
  if (name !== 'patch_embed.proj.weight') return initialValue(name, shape, stream, 'reference');
  const [outputs = 1] = shape;
  const inputs = lengthOf(shape) / outputs;
  return Float32Array.from({ length: lengthOf(shape) }, () => stream.normal() * Math.sqrt(2 / inputs));
}
