import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import sharp from 'sharp';
import { RandomStream } from '../core/base/random.js';
import { anyColour, type Colour, distinctFrom, hex } from './colours.js';
import { SIDE } from './icons.js';
import { fetchPackage, readJson } from './packages.js';

/** Families of Google Fonts and the versions of their packages, all under the SIL Open Font License or Apache License 2.0. */
export const FONTS: Readonly<Record<string, string>> = {
  'abril-fatface': '0.4.1',
  alegreya: '0.4.2',
  'amatic-sc': '0.4.2',
  'anonymous-pro': '0.4.1',
  anton: '0.4.2',
  audiowide: '0.4.1',
  bangers: '0.4.1',
  bitter: '0.4.2',
  bungee: '0.4.1',
  cardo: '0.4.1',
  caveat: '0.4.2',
  chewy: '0.4.0',
  cinzel: '0.4.2',
  creepster: '0.4.0',
  'dm-serif-display': '0.4.2',
  'exo-2': '0.4.2',
  'fira-sans': '0.4.1',
  'gloria-hallelujah': '0.4.1',
  'great-vibes': '0.4.1',
  'indie-flower': '0.4.1',
  'josefin-sans': '0.4.2',
  kalam: '0.4.1',
  'luckiest-guy': '0.4.1',
  merriweather: '0.4.2',
  montserrat: '0.4.2',
  orbitron: '0.4.2',
  oswald: '0.4.2',
  'permanent-marker': '0.4.0',
  'playfair-display': '0.4.2',
  poppins: '0.4.1',
  'press-start-2p': '0.4.1',
  'roboto-slab': '0.4.2',
  righteous: '0.4.1',
  rye: '0.4.1',
  sacramento: '0.4.1',
  'special-elite': '0.4.1',
  'titillium-web': '0.4.1',
  vt323: '0.4.1',
  'zilla-slab': '0.4.1',
};
const LICENCES = ['OFL-1.1', 'Apache-2.0'];
const LETTERS = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789&?!@$%'];
/** Parts of the picture's side that a letter covers, and by how many degrees it is turned at most. */
const SIZES = [0.5, 0.9] as const;
const TURN = 15;

/** Writes FAMILY-CODE.png below a folder: letters in any two colours. @returns how many */
export async function makeLetters(folder: string, packages: string): Promise<number> {
  mkdirSync(folder, { recursive: true });
  for (const [name, version] of Object.entries(FONTS)) {
    const font = await readFont(packages, name, version);
    for (const letter of LETTERS) {
      const code = letter.charCodeAt(0);
      const random = new RandomStream(0, `letter ${name}`, code);
      writeFileSync(join(folder, `${name}-${code}.png`), await drawLetter(letter, font, random));
    }
  }
  return Object.keys(FONTS).length * LETTERS.length;
}

/** A font's file, and the name of its family. */
interface Font {
  fontfile: string;
  font: string;
}

async function readFont(packages: string, name: string, version: string): Promise<Font> {
  const folder = await fetchPackage(packages, { package: `@expo-google-fonts/${name}`, version });
  const { license } = readJson<{ license: string }>(folder, 'package.json');
  if (!LICENCES.some((licence) => license.endsWith(licence))) throw new Error(`${name} is under ${license}`);
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ttf'));
  const usual = files.find((file) => file.endsWith('_400Regular.ttf'));
  if (usual === undefined) throw new Error(`${folder} has no font of usual weight`);
  const [family] = basename(usual).split('_'); // PressStart2P
  const font = {
    fontfile: join(folder, usual),
    font: family.replace(/(?<=[a-z])(?=[A-Z0-9])|(?<=[A-Z])(?=[A-Z][a-z])/g, ' '),
  };
  const [drawn, missing] = await Promise.all(
    [font.font, 'no such family'].map((each) => glyph('Rag', { ...font, font: each }, [0, 0, 0])),
  );
  if (drawn.equals(missing)) throw new Error(`${font.fontfile} has no family ${font.font}`);
  return font;
}

async function drawLetter(letter: string, font: Font, random: RandomStream): Promise<Buffer> {
  const ground = anyColour(random);
  const drawn = await glyph(letter, font, distinctFrom(ground, random));
  const size = Math.round(SIDE * random.uniform(...SIZES));
  const turned = await sharp(drawn).rotate(random.uniform(-TURN, TURN), { background: '#00000000' }).png().toBuffer();
  const fitted = await sharp(turned)
    .trim()
    .resize(size, size, { fit: 'inside' })
    .png()
    .toBuffer({ resolveWithObject: true });
  const left = random.integer(0, SIDE - fitted.info.width);
  const top = random.integer(0, SIDE - fitted.info.height);
  return sharp({ create: { width: SIDE, height: SIDE, channels: 3, background: hex(ground) } })
    .composite([{ input: fitted.data, left, top }])
    .removeAlpha()
    .png()
    .toBuffer();
}

/** Letters as PNG, about as high as a picture, on nothing. */
function glyph(text: string, { fontfile, font }: Font, ink: Colour): Promise<Buffer> {
  const escaped = text.replace('&', '&amp;');
  return sharp({
    text: {
      text: `<span foreground="${hex(ink)}">${escaped}</span>`,
      font: `${font} 32`,
      fontfile,
      rgba: true,
      dpi: 150,
    },
  })
    .png()
    .toBuffer();
}
