import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { RandomStream } from '../core/base/random.js';
import { anyColour, type Colour, distinctFrom, hex } from './colours.js';
import { fetchPackage, type Package, readJson } from './packages.js';

/** Side of all pictures in pixels. */
export const SIDE = 64;
export const WHITE: Colour = [255, 255, 255];

/** A set of drawings, with the licence that its package has to state. */
export interface Drawings extends Package {
  licence: string;
}

/** Icons in colours of their own. */
const COLOURED: readonly Drawings[] = [
  { package: '@iconify-json/catppuccin', version: '1.2.17', licence: 'MIT' },
  { package: '@iconify-json/circle-flags', version: '1.2.11', licence: 'MIT' },
  { package: '@iconify-json/cryptocurrency-color', version: '1.2.4', licence: 'CC0-1.0' },
  { package: '@iconify-json/devicon', version: '1.2.68', licence: 'MIT' },
  { package: '@iconify-json/flag', version: '1.2.12', licence: 'MIT' },
  { package: '@iconify-json/flat-color-icons', version: '1.2.3', licence: 'MIT' },
  { package: '@iconify-json/fluent-color', version: '1.2.21', licence: 'MIT' },
  { package: '@iconify-json/fxemoji', version: '1.2.2', licence: 'Apache-2.0' },
  { package: '@iconify-json/icon-park', version: '1.2.4', licence: 'Apache-2.0' },
  { package: '@iconify-json/logos', version: '1.2.19', licence: 'CC0-1.0' },
  { package: '@iconify-json/marketeq', version: '1.2.2', licence: 'MIT' },
  { package: '@iconify-json/material-icon-theme', version: '1.2.70', licence: 'MIT' },
  { package: '@iconify-json/meteocons', version: '1.2.4', licence: 'MIT' },
  { package: '@iconify-json/skill-icons', version: '1.2.4', licence: 'MIT' },
  { package: '@iconify-json/streamline-color', version: '1.2.2', licence: 'CC-BY-4.0' },
  { package: '@iconify-json/streamline-freehand-color', version: '1.2.2', licence: 'CC-BY-4.0' },
  { package: '@iconify-json/streamline-kameleon-color', version: '1.2.2', licence: 'CC-BY-4.0' },
  { package: '@iconify-json/streamline-plump-color', version: '1.2.2', licence: 'CC-BY-4.0' },
  { package: '@iconify-json/streamline-ultimate-color', version: '1.2.2', licence: 'CC-BY-4.0' },
  { package: '@iconify-json/token-branded', version: '1.2.45', licence: 'MIT' },
  { package: '@iconify-json/vscode-icons', version: '1.2.97', licence: 'MIT' },
];
/** Icons of one colour, which may be any. */
const OUTLINES: readonly Drawings[] = [
  { package: '@iconify-json/fluent-emoji-high-contrast', version: '1.2.6', licence: 'MIT' },
  { package: '@iconify-json/game-icons', version: '1.2.4', licence: 'CC-BY-3.0' },
  { package: '@iconify-json/healthicons', version: '1.2.13', licence: 'MIT' },
  { package: '@iconify-json/maki', version: '1.2.5', licence: 'CC0-1.0' },
  { package: '@iconify-json/mdi', version: '1.2.3', licence: 'Apache-2.0' },
  { package: '@iconify-json/ph', version: '1.2.2', licence: 'MIT' },
  { package: '@iconify-json/tabler', version: '1.2.41', licence: 'MIT' },
  { package: '@iconify-json/temaki', version: '1.2.6', licence: 'CC0-1.0' },
];
export const ICONS: readonly Drawings[] = [...COLOURED, ...OUTLINES];
/** At most this many pictures of a set, evenly chosen. */
const MOST = 2000;
/** Parts of the picture's side that an icon covers. */
const SIZES = [0.6, 1] as const;
/** How often icons in colours of their own lie on white. */
const ON_WHITE = 0.5;

/** As Iconify's packages have them: SVG without its outermost element. */
export interface IconSet {
  width: number;
  height: number;
  icons: Record<string, { body: string; width?: number; height?: number; left?: number; top?: number; hidden?: true }>;
}

/** Writes SET-NAME.png below a folder, icons of all sets: of any size and at any place. @returns how many */
export async function makeIcons(folder: string, packages: string): Promise<number> {
  mkdirSync(folder, { recursive: true });
  let count = 0;
  for (const drawings of ICONS) {
    const icons = await readIcons(packages, drawings);
    const [, set] = drawings.package.split('/');
    const names = Object.keys(icons.icons).filter((name) => icons.icons[name].hidden !== true);
    const stride = Math.max(1, names.length / MOST);
    for (let at = 0; at < names.length; at += stride) {
      const name = names[Math.floor(at)];
      const random = new RandomStream(0, `icon ${set} ${name}`);
      const ground = !OUTLINES.includes(drawings) && random.chance(ON_WHITE) ? WHITE : anyColour(random);
      const size = random.uniform(...SIZES);
      const place = [random.uniform(0, 1 - size), random.uniform(0, 1 - size)] as const;
      const icon = await drawIcon(icons, name, { ground, ink: distinctFrom(ground, random), size, place });
      writeFileSync(join(folder, `${set}-${name}.png`), icon);
      count++;
    }
  }
  return count;
}

export async function readIcons(packages: string, drawings: Drawings): Promise<IconSet> {
  const { license } = await readInfo(packages, drawings);
  if (license.spdx !== drawings.licence) {
    throw new Error(`${drawings.package} is under ${license.spdx}, not ${drawings.licence}`);
  }
  return readJson<IconSet>(await fetchPackage(packages, drawings), 'icons.json');
}

/** What a package says of its licence and its author. */
export async function readInfo(packages: string, drawings: Drawings) {
  const folder = await fetchPackage(packages, drawings);
  return readJson<{ license: { spdx: string }; author: { name: string } }>(folder, 'info.json');
}

/**
 * A square PNG of an icon.
 * @param ink the colour of icons without colours of their own
 * @param size part of the side that the icon covers
 * @param place of its upper left corner, as parts of the side
 */
export async function drawIcon(
  { icons, ...all }: IconSet,
  name: string,
  { ground = WHITE, ink = [0, 0, 0] as Colour, size = 1, place: [x, y] = [0, 0] as readonly [number, number] } = {},
): Promise<Buffer> {
  const { body, left = 0, top = 0, width = all.width ?? 16, height = all.height ?? 16 } = icons[name];
  const box = [left - (x * width) / size, top - (y * height) / size, width / size, height / size];
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="${box.join(' ')}" ` +
    `width="${SIDE}" height="${SIDE}" color="${hex(ink)}">${body}</svg>`;
  return drawSvg(svg, ground);
}

/** An SVG as PNG. @param ground what shows where it draws nothing */
export function drawSvg(svg: string, ground: Colour = WHITE): Promise<Buffer> {
  return sharp(Buffer.from(svg))
    .flatten({ background: hex(ground) })
    .removeAlpha()
    .png()
    .toBuffer();
}
