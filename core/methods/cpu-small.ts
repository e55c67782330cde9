/** Data and encoder of the presets that learn from a few thousand pictures on a CPU within hours. */
export const CPU_SMALL = {
  imageSize: 64,
  patchSize: 8,
  cropScale: [0.6, 1],
  dim: 128,
  depth: 6,
  heads: 4,
  batchSize: 64,
  epochs: 100,
} as const;
