import { createDice, type Dice } from './dice.js';
import { CLASSES, outline } from './outlines.js';

export { CLASSES } from './outlines.js';

/** Side of a scene in pixels. */
export const SCENE_SIZE = 96;
/** Fewest and most shapes of a scene. */
export const COUNTS = [2, 6] as const;
/** Upper bounds of the distance classes; the nearest shape of a scene is no farther than the last one. */
export const DISTANCES = [1.15, 1.3, 1.45, 1.6] as const;
/** Radius of a shape at distance 1, in pixels. */
export const RADIUS = 20;

/** How much farther than the nearest one the other shapes of a scene can be. */
const DEPTH = 1.25;
const TEXTURES = ['plain', 'stripes', 'dots', 'checks'] as const;

type Range = readonly [number, number];

/** A scene as SVG, and what is true of it. */
export interface Scene {
  svg: string;
  labels: { class: number; count: number; distance: number };
}

/** One shape of a scene: seen larger the nearer it is. */
interface Shape {
  distance: number;
  x: number;
  y: number;
  /** Degrees. */
  turn: number;
}

/**
 * Scene number `index`: shapes of one kind and texture, each in colours of its own, so that a part of the picture tells
 * something of the rest. Kind, number and distance are drawn independently of colours, textures and places, so that
 * neither colour statistics nor single pixels tell the labels.
 */
export function drawScene(index: number): Scene {
  const dice = createDice(index);
  const kind = drawKind(dice);
  const texture = dice.pick(TEXTURES);
  const nearest = placeShape(dice, dice.between(1, DISTANCES.at(-1) as number), 0.15);
  const wanted = dice.integer(...COUNTS);
  const placed = [nearest];
  for (let draw = 0; placed.length < wanted && draw < 200; draw++) {
    const shape = placeShape(dice, nearest.distance * dice.between(1, DEPTH), 0.08);
    if (placed.every((other) => areApart(shape, other))) placed.push(shape);
  }
  const parts = placed.map((shape, at) => paintShape(dice, CLASSES[kind] as string, texture, shape, `t${at}`));
  const size = SCENE_SIZE;
  return {
    svg:
      `<svg xmlns="http://www.w3.org/2000/svg" width="${size}" height="${size}" viewBox="0 0 ${size} ${size}">` +
      `${paintBackground(dice)}${parts.join('')}</svg>`,
    labels: {
      class: kind,
      count: placed.length - COUNTS[0],
      distance: DISTANCES.findIndex((bound) => nearest.distance <= bound),
    },
  };
}

/** The class of scene number `index` alone: the first thing that is drawn, so that nothing has to be painted. */
export function classOfScene(index: number): number {
  return drawKind(createDice(index));
}

function drawKind(dice: Dice): number {
  return dice.integer(0, CLASSES.length - 1);
}

/** @param margin part of the scene's side that the centre keeps from every edge */
function placeShape(dice: Dice, distance: number, margin: number): Shape {
  const place = () => SCENE_SIZE * dice.between(margin, 1 - margin);
  return { distance, x: place(), y: place(), turn: dice.between(-20, 20) };
}

/** Whether two shapes hide little of one another, so that the number of shapes can be seen. */
function areApart(a: Shape, b: Shape): boolean {
  return Math.hypot(a.x - b.x, a.y - b.y) > 0.85 * RADIUS * (1 / a.distance + 1 / b.distance);
}

function paintShape(dice: Dice, kind: string, texture: Texture, { distance, x, y, turn }: Shape, id: string): string {
  const radius = RADIUS / distance;
  const fill = paintTexture(dice, texture, id, radius);
  const edge = colour(dice, [20, 60], [8, 20]);
  return (
    `${fill.definition}<path d="${outline(kind)}" fill="${fill.paint}" fill-rule="evenodd" ` +
    `stroke="${edge}" stroke-width="0.12" stroke-linejoin="round" ` +
    `transform="translate(${round(x)} ${round(y)}) rotate(${round(turn)}) scale(${round(radius)})"/>`
  );
}

type Texture = (typeof TEXTURES)[number];

/** A texture for shapes of radius 1, with marks that keep a size of a few pixels. */
function paintTexture(dice: Dice, texture: Texture, id: string, radius: number): { definition: string; paint: string } {
  const [ground, mark] = [colour(dice, [50, 95], [45, 60]), colour(dice, [50, 95], [60, 80])];
  if (texture === 'plain') return { definition: '', paint: ground };
  const cell = round(dice.between(8, 10) / radius);
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

/** A gradient between two pale colours. */
function paintBackground(dice: Dice): string {
  const size = SCENE_SIZE;
  const pale = () => colour(dice, [5, 45], [76, 92]);
  return (
    `<defs><linearGradient id="bg" gradientTransform="rotate(${dice.integer(0, 359)} 0.5 0.5)">` +
    `<stop offset="0" stop-color="${pale()}"/><stop offset="1" stop-color="${pale()}"/></linearGradient></defs>` +
    `<rect width="${size}" height="${size}" fill="url(#bg)"/>`
  );
}

/** Any hue; saturation and lightness within bounds, in percent. */
function colour(dice: Dice, [palest, strongest]: Range, [darkest, lightest]: Range): string {
  return `hsl(${dice.integer(0, 359)},${dice.integer(palest, strongest)}%,${dice.integer(darkest, lightest)}%)`;
}

function round(x: number): number {
  return Math.round(x * 1000) / 1000;
}
