import { defineMethod, encoderPass, encoderSize, number, patchify, project } from '../../core/plugin.js';

/**
 * SimMIM (Xie et al. 2022): hidden patches are replaced by a learned vector, and one linear layer predicts their pixels.
 *
 * Letters: b images of a part, S side, N patches, p side of a patch, P = p p 3, D width.
 */
export const simmim = defineMethod({
  name: 'simmim',
  title: 'SimMIM',
  summary: 'predicts the pixels of hidden patches by one linear layer (Xie et al. 2022)',
  // Options of its own: flags, help, configuration files and records have them. Other defaults of the common ones and
  // presets would go into `defaults` and `presets`.
  options: {
    hiddenFraction: number({
      group: 'Masks',
      default: 0.6,
      min: 0,
      open: true,
      max: 0.95,
      help: 'fraction of the patches that are hidden',
    }),
  },
  defaults: {},
  presets: {},
  create({ hiddenFraction }, { backbone }) {
    const { shapes, patchCount, patchSize, encoder } = backbone;
    const hiddenCount = Math.max(1, Math.round(hiddenFraction * patchCount));
    const pixels = 3 * patchSize ** 2;
    const head = { mask_token: [1, 1, encoder.dim], 'pixels.weight': [pixels, encoder.dim], 'pixels.bias': [pixels] };
    return {
      networks: { encoder: { shapes, role: { by: 'gradient' } }, head: { shapes: head, role: { by: 'gradient' } } },
      views: [{ name: 'image', count: 1 }],
      encoders: { encoder: 'encoder' },
      sizes: { encoder },
      // Everything random comes from the step's own stream, so that an interrupted run goes on as it would have gone.
      draw(random, imageCount) {
        const values = new Float32Array(imageCount * patchCount);
        for (let image = 0; image < imageCount; image++) {
          for (const patch of random.permutation(patchCount).subarray(0, hiddenCount))
            values[image * patchCount + patch] = 1;
        }
        const hidden = { shape: [imageCount, patchCount, 1], values };
        return { groups: [{ imageCount, masks: {}, values: { hidden } }] };
      },
      masks: { hidden: { title: 'hidden', role: 'predicted' } },
      targets: (_networks, { views }) => ({ pixels: patchify(views.image, patchSize) }), // [b, N, P]
      outputs({ encoder, head }, { views, values }) {
        const replace = { by: head.mask_token, where: values.hidden };
        const tokens = backbone.forward(encoder, views.image, { replace }); // [b, N, D]
        return { predicted: project(head, 'pixels', tokens) }; // [b, N, P]
      },
      terms: [
        {
          name: 'pixels',
          weight: 1,
          over: 'images',
          // The mean distance over the hidden patches' pixels.
          compute({ predicted }, { pixels }, { values: { hidden } }) {
            const distances = predicted.sub(pixels).abs().mean(2, true); // [b, N, 1]
            return distances.mul(hidden).sum().div(hidden.sum());
          },
        },
      ],
      rates: {},
      logs: [],
      dispose() {},
    };
  },
  describe: () => 'mean distance of pixels',
  // What memory and speed are estimated from: an image's way through each network.
  passes(options) {
    const { imageSize, patchSize } = options;
    return [encoderPass(encoderSize(options), patchSize, { patches: (imageSize / patchSize) ** 2, trained: true })];
  },
});
