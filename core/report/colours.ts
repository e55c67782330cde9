/** Colours that colour-blind readers can tell apart (Okabe and Ito 2008). */
export const COLOURS = {
  blue: '#0072B2',
  orange: '#E69F00',
  green: '#009E73',
  vermilion: '#D55E00',
  purple: '#CC79A7',
  sky: '#56B4E9',
  yellow: '#F0E442',
  black: '#000000',
} as const;

/** Of the context, and of target blocks in turn. */
export const CONTEXT_COLOUR = COLOURS.blue;
export const TARGET_COLOURS = [COLOURS.orange, COLOURS.green, COLOURS.vermilion, COLOURS.purple] as const;
