import type { RandomStream } from '../core/base/random.js';

/** Red, green and blue, from 0 to 255. */
export type Colour = readonly [number, number, number];

/** How far apart two colours are that can be told from one another: a third of the way from black to white. */
const DISTINCT = 150;

export function anyColour(random: RandomStream): Colour {
  return [random.integer(0, 255), random.integer(0, 255), random.integer(0, 255)];
}

/** A colour that can be told from another. */
export function distinctFrom(other: Colour, random: RandomStream): Colour {
  for (;;) {
    const colour = anyColour(random);
    if (Math.hypot(...colour.map((value, channel) => value - other[channel])) >= DISTINCT) return colour;
  }
}

/** As SVG and Pango name it: '#00ff7f'. */
export function hex(colour: Colour): string {
  return `#${colour.map((value) => Math.round(value).toString(16).padStart(2, '0')).join('')}`;
}
