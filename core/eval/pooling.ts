/** What an encoder's features are made of: the mean over patches or places, or the class token. */
export const POOLINGS = ['average pooling', 'class token'] as const;
export type Pooling = (typeof POOLINGS)[number];

/** How a network of a size pools; see `Backbone.features`. */
export function poolingOf({ classFeatures }: { readonly dim: number; readonly classFeatures?: boolean }): Pooling {
  return classFeatures ? 'class token' : 'average pooling';
}
