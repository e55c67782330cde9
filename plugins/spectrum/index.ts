import { centredSpectrum, type Monitor, type Plugin } from '../../core/plugin.js';

/** Beside RankMe, which every run's log has: what a common mean of all pictures does not hide. */
const spectrum: Monitor = {
  name: 'spectrum',
  summary:
    'logs the effective rank of centred representations, and by which exponent their eigenvalues fall (alpha-ReQ)',
  values: ['rankCentred', 'alphaReq'],
  start: ({ images }) => ({
    observe({ features }) {
      const { rankMeCentred, alphaReq } = centredSpectrum(features, images.length);
      return { values: { rankCentred: rankMeCentred, ...(alphaReq !== null && { alphaReq }) } };
    },
  }),
};

const plugin = {
  name: 'spectrum',
  summary: 'What the spectrum of representations tells without labels',
  monitors: [spectrum],
} satisfies Plugin;

export default plugin;
