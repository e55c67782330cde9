import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RandomStream } from '../core/base/random.js';
import { type Colour, hex } from './colours.js';
import { drawSvg, SIDE } from './icons.js';

/*
 * Generated scenes with the statistics of photographs: things of any size hide one another ("dead leaves"), with shading and
 * texture. Encoders learn from such pictures what helps with real ones (Baradad et al. 2021, "Learning to See by Looking at
 * Noise").
 */
const COUNT = 8000;

/** Writes NUMBER.png below a folder. @returns how many */
export async function makeScenes(folder: string): Promise<number> {
  mkdirSync(folder, { recursive: true });
  for (let number = 0; number < COUNT; number++) {
    const png = await drawSvg(scene(new RandomStream(0, 'scene', number)));
    writeFileSync(join(folder, `${number}.png`), png);
  }
  return COUNT;
}

/** An SVG. What its things are like (kind, colours, sizes, texture) is the scene's own, so that its parts belong together. */
function scene(random: RandomStream): string {
  const tone = palette(random);
  const kinds = [...random.permutation(KINDS.length)].slice(0, random.integer(1, 3));
  const things = Math.round(6 * 40 ** random.uniform());
  const [smallest, largest] = [(random.uniform(10, 20) / things) ** 0.4 * 3, random.uniform(12, 40)];
  const turn = random.chance(0.5) ? random.uniform(0, 180) : undefined; // all of them alike, or each its own way
  const gradients: string[] = [];
  const fill = () => {
    if (random.chance(0.5)) return hex(tone());
    gradients.push(
      `<linearGradient id="g${gradients.length}" gradientTransform="rotate(${random.integer(0, 360)})">` +
        `<stop stop-color="${hex(tone())}"/><stop offset="1" stop-color="${hex(tone())}"/></linearGradient>`,
    );
    return `url(#g${gradients.length - 1})`;
  };
  const ground = `<rect width="${SIDE}" height="${SIDE}" fill="${fill()}"/>`;
  const shapes = Array.from({ length: things }, () => {
    const r = 1 / random.uniform(1 / largest, 1 / smallest); // with density r^-2
    const place = `translate(${random.uniform(0, SIDE)} ${random.uniform(0, SIDE)}) rotate(${turn ?? random.uniform(0, 360)})`;
    return `<g transform="${place}" fill="${fill()}">${KINDS[random.pick(kinds)](r, random)}</g>`;
  });
  const [texture, blur] = [
    random.chance(0.6) ? textureOf(random) : '',
    random.chance(0.3) ? random.uniform(0.3, 1.5) : 0,
  ];
  const soft = blur > 0 ? `<feGaussianBlur stdDeviation="${blur}"/>` : '';
  const effects = texture + soft;
  const filter = `<filter id="f" x="0" y="0" width="1" height="1">${effects}</filter>`;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${SIDE}" height="${SIDE}"><defs>${gradients.join('')}${filter}</defs>` +
    `<g ${effects === '' ? '' : 'filter="url(#f)"'}>${ground}${shapes.join('')}</g></svg>`
  );
}

/** What draws a thing of radius r around the origin. */
const KINDS: readonly ((r: number, random: RandomStream) => string)[] = [
  (r, random) => `<ellipse rx="${r}" ry="${r * random.uniform(0.4, 1)}"/>`,
  (r, random) => {
    const height = r * random.uniform(0.1, 1);
    return `<rect x="${-r}" y="${-height}" width="${2 * r}" height="${2 * height}"/>`;
  },
  (r, random) => {
    const corners = random.integer(3, 9);
    const points = Array.from({ length: corners }, (_, corner) => {
      const [angle, length] = [(2 * Math.PI * (corner + random.uniform(0, 0.5))) / corners, r * random.uniform(0.5, 1)];
      return `${length * Math.cos(angle)},${length * Math.sin(angle)}`;
    });
    return `<polygon points="${points.join(' ')}"/>`;
  },
  (r, random) => {
    const [bend, width] = [r * random.uniform(-2, 2), r * random.uniform(0.1, 0.4)];
    return `<path d="M${-r},${-width} Q0,${bend - width} ${r},${-width} L${r},${width} Q0,${bend + width} ${-r},${width}Z"/>`;
  },
];

/** Draws colours between two of the scene's own, lighter and darker. */
function palette(random: RandomStream): () => Colour {
  const [chroma, spread] = [255 * random.uniform() ** 2, random.uniform(10, 60)];
  const own = [0, 1].map(() => {
    const grey = random.uniform(20, 235);
    return [0, 1, 2].map(() => grey + chroma * random.uniform(-0.5, 0.5));
  });
  return () => {
    const [share, light] = [random.uniform(), spread * random.normal()];
    const channel = (index: number) => {
      const value = share * own[0][index] + (1 - share) * own[1][index] + light + 0.2 * spread * random.normal();
      return Math.min(255, Math.max(0, value));
    };
    return [channel(0), channel(1), channel(2)];
  };
}

/** Noise that makes what lies below lighter and darker; of grains or of fibres. */
function textureOf(random: RandomStream): string {
  const [along, across] = [0.02 * 40 ** random.uniform(), 0.02 * 40 ** random.uniform()];
  const frequency = random.chance(0.5) ? `${along}` : `${along} ${across}`;
  const amount = random.uniform(0.3, 1.2);
  return (
    `<feTurbulence type="fractalNoise" baseFrequency="${frequency}" numOctaves="${random.integer(1, 5)}" seed="${random.integer(0, 9999)}"/>` +
    `<feColorMatrix values="1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 0 0 0 0 1" result="noise"/>` +
    `<feComposite in="SourceGraphic" in2="noise" operator="arithmetic" k1="${amount}" k2="${1 - amount / 2}"/>`
  );
}
