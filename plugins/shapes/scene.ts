import { createDice, type Dice } from './dice.js';
import { CLASSES, outline } from './outlines.js';

export { CLASSES } from './outlines.js';

/** Side of a scene in pixels. */
export const SCENE_SIZE = 96;
export const MOST_OBJECTS = 5;
/** Upper bounds of the distance classes; the nearest shape of a scene is nearer than the last one. */
export const DISTANCES = [1.2, 1.4, 1.6, 1.8] as const;

/** Radius of a shape at distance 1, in pixels. */
export const RADIUS = 40;
const FARTHEST = 5.5;
const TEXTURES = ['plain', 'plain', 'plain', 'stripes', 'dots', 'checks'] as const;

type Range = readonly [number, number];

/** A scene as SVG, and what is true of it. */
export interface Scene {
  svg: string;
  labels: { class: number; count: number; distance: number };
}

/** One shape of a scene: drawn by its kind, seen larger the nearer it is. */
interface Shape {
  kind: number;
  distance: number;
  x: number;
  y: number;
  turn: number;
}

/**
 * Scene number `index`. Kind, number and distance of shapes are drawn independently of all colours and textures, so that
 * colour statistics tell nothing about the labels.
 */
export function drawScene(index: number): Scene {
  const dice = createDice(index);
  const wanted = dice.integer(1, MOST_OBJECTS);
  const nearest = placeShape(dice, dice.between(1, DISTANCES.at(-1) as number), 0.34);
  const placed = [nearest];
  for (let draw = 0; placed.length < wanted && draw < 30; draw++) {
    const shape = placeShape(dice, dice.between(nearest.distance * 2, FARTHEST), 0.08);
    if (placed.every((other) => areApart(shape, other))) placed.push(shape);
  }
  const farToNear = placed.sort((a, b) => b.distance - a.distance);
  const parts = farToNear.map((shape, at) => paintShape(dice, shape, `t${at}`));
  const size = SCENE_SIZE;
  return {
    svg:
      `<svg xmlns="http://www.w3.org/2000/svg" width="${size}" height="${size}" viewBox="0 0 ${size} ${size}">` +
      `${paintBackground(dice)}${parts.join('')}</svg>`,
    labels: {
      class: nearest.kind,
      count: placed.length - 1,
      distance: DISTANCES.findIndex((bound) => nearest.distance <= bound),
    },
  };
}

/** @param margin part of the scene's side that the centre keeps from every edge */
function placeShape(dice: Dice, distance: number, margin: number): Shape {
  const place = () => SCENE_SIZE * dice.between(margin, 1 - margin);
  return { kind: dice.integer(0, CLASSES.length - 1), distance, x: place(), y: place(), turn: dice.between(-25, 25) };
}

/** Whether two shapes hide little of one another, so that the number of shapes can be seen. */
function areApart(a: Shape, b: Shape): boolean {
  return Math.hypot(a.x - b.x, a.y - b.y) > 0.8 * RADIUS * (1 / a.distance + 1 / b.distance);
}

function paintShape(dice: Dice, { kind, distance, x, y, turn }: Shape, id: string): string {
  const radius = RADIUS / distance;
  const fill = paintTexture(dice, id, radius);
  const edge = colour(dice, [20, 60], [8, 20]);
  return (
    `${fill.definition}<path d="${outline(CLASSES[kind] as string)}" fill="${fill.paint}" fill-rule="evenodd" ` +
    `stroke="${edge}" stroke-width="0.08" stroke-linejoin="round" ` +
    `transform="translate(${round(x)} ${round(y)}) rotate(${round(turn)}) scale(${round(radius)})"/>`
  );
}

/** A texture for shapes of radius 1, with marks that keep a size of a few pixels. */
function paintTexture(dice: Dice, id: string, radius: number): { definition: string; paint: string } {
  const texture = dice.pick(TEXTURES);
  const [ground, mark] = [colour(dice, [50, 95], [45, 70]), colour(dice, [50, 95], [45, 70])];
  if (texture === 'plain') return { definition: '', paint: ground };
  const cell = round(dice.between(10, 16) / radius);
  const half = round(cell / 2);
  const marks = {
    stripes: `<rect width="${half}" height="${cell}" fill="${mark}"/>`,
    dots: `<circle cx="${half}" cy="${half}" r="${round(cell * 0.3)}" fill="${mark}"/>`,
    checks: `<path d="M0 0h${half}v${half}h-${half}zM${half} ${half}h${half}v${half}h-${half}z" fill="${mark}"/>`,
  }[texture];
  return {
    definition:
      `<defs><pattern id="${id}" width="${cell}" height="${cell}" patternUnits="userSpaceOnUse" ` +
      `patternTransform="rotate(${dice.integer(0, 90)})"><rect width="${cell}" height="${cell}" fill="${ground}"/>${marks}</pattern></defs>`,
    paint: `url(#${id})`,
  };
}

/** A gradient between two pale colours, under faint bands. */
function paintBackground(dice: Dice): string {
  const size = SCENE_SIZE;
  const angle = dice.integer(0, 359);
  const pale = () => colour(dice, [5, 45], [72, 92]);
  const [from, to, band] = [pale(), pale(), pale()];
  const bands = Array.from({ length: dice.integer(0, 3) }, () => {
    const y = round(dice.between(-size, size));
    return `<rect x="${-size}" y="${y}" width="${3 * size}" height="${dice.integer(3, 14)}" fill="${band}" opacity="0.5"/>`;
  });
  return (
    `<defs><linearGradient id="bg" gradientTransform="rotate(${angle} 0.5 0.5)"><stop offset="0" stop-color="${from}"/>` +
    `<stop offset="1" stop-color="${to}"/></linearGradient></defs><rect width="${size}" height="${size}" fill="url(#bg)"/>` +
    `<g transform="rotate(${angle} ${size / 2} ${size / 2})">${bands.join('')}</g>`
  );
}

/** Any hue; saturation and lightness within bounds, in percent. */
function colour(dice: Dice, [palest, strongest]: Range, [darkest, lightest]: Range): string {
  return `hsl(${dice.integer(0, 359)},${dice.integer(palest, strongest)}%,${dice.integer(darkest, lightest)}%)`;
}

function round(x: number): number {
  return Math.round(x * 1000) / 1000;
}
