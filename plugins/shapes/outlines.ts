/** The kinds of shapes, in the order of their class numbers. */
export const CLASSES = ['circle', 'square', 'triangle', 'star', 'cross', 'ring', 'heart', 'crescent'] as const;

/** The outline of a kind as SVG path data, within a circle of radius 1 around the origin. */
export function outline(kind: string): string {
  const path = OUTLINES[kind];
  if (path === undefined) throw new Error(`there is no shape '${kind}'`);
  return path;
}

const OUTLINES: Record<string, string> = {
  circle: disc(0.9),
  square: 'M-0.75 -0.75H0.75V0.75H-0.75Z',
  triangle: polygon([1, 1, 1]),
  star: polygon(Array.from({ length: 10 }, (_, corner) => (corner % 2 === 0 ? 1 : 0.42))),
  cross: 'M-0.3 -0.9H0.3V-0.3H0.9V0.3H0.3V0.9H-0.3V0.3H-0.9V-0.3H-0.3Z',
  ring: `${disc(0.95)}${disc(0.5)}`,
  heart:
    'M0 0.9C-1.5 -0.1 -0.9 -1 -0.4 -0.85C-0.2 -0.8 -0.05 -0.65 0 -0.45C0.05 -0.65 0.2 -0.8 0.4 -0.85C0.9 -1 1.5 -0.1 0 0.9Z',
  crescent: 'M0.45 -0.85A0.95 0.95 0 1 0 0.45 0.85A0.75 0.75 0 1 1 0.45 -0.85Z',
};

function disc(radius: number): string {
  return `M${-radius} 0A${radius} ${radius} 0 1 0 ${radius} 0A${radius} ${radius} 0 1 0 ${-radius} 0Z`;
}

/** Corners at the given distances from the origin, evenly spaced, the first one at the top. */
function polygon(distances: readonly number[]): string {
  const corners = distances.map((distance, corner) => {
    const angle = (corner / distances.length) * 2 * Math.PI - Math.PI / 2;
    return `${(distance * Math.cos(angle)).toFixed(3)} ${(distance * Math.sin(angle)).toFixed(3)}`;
  });
  return `M${corners.join('L')}Z`;
}
