import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { runNpm } from '../core/engine/install/npm.js';
import { extractArchive } from '../core/fetch/extract.js';

/*
 * Makes a folder of pictures out of npm packages of emoji, which are drawings with a free licence, and of one that names the
 * kind of each emoji. Versions are pinned, so that the pictures are the same every time.
 */

/** A set of drawings, with the licence that its package has to state. */
interface Drawings {
  package: string;
  version: string;
  licence: string;
}

/** Those that are trained on. */
const TRAIN: readonly Drawings[] = [
  { package: '@iconify-json/noto', version: '1.2.9', licence: 'Apache-2.0' },
  { package: '@iconify-json/noto-v1', version: '1.2.5', licence: 'Apache-2.0' },
  { package: '@iconify-json/fluent-emoji', version: '1.2.7', licence: 'MIT' },
  { package: '@iconify-json/fluent-emoji-flat', version: '1.2.6', licence: 'MIT' },
];
/** Of others than drew those; what was learned is judged by it. */
const TEST: Drawings = { package: '@iconify-json/twemoji', version: '1.2.5', licence: 'CC-BY-4.0' };
/** Says of which kind emoji are: 'animal-mammal'; under the MIT License. */
const KINDS = { package: 'emojibase-data', version: '17.0.0' };

/** Classes have at least this many test pictures, and at most this many pictures of a set. */
const FEWEST = 12;
const MOST = 60;
/** Side of the pictures in pixels. */
const SIDE = 64;

/** Icons as Iconify's packages have them: SVG without its outermost element. */
interface IconSet {
  width: number;
  height: number;
  icons: Record<string, { body: string; width?: number; height?: number; left?: number; top?: number }>;
}

/**
 * Writes {train,val}/CLASS/SET-NAME.png below a folder, each emoji on white; what was there is replaced.
 * @param packages where packages lie, or are fetched to by npm
 * @returns how many pictures there are of each split, and of how many classes
 */
export async function makePictures(folder: string, packages: string) {
  rmSync(folder, { recursive: true, force: true });
  const kindOf = await readKinds(packages);
  const drawn = new Set<string>(); // by those that are trained on
  for (const drawings of TRAIN)
    for (const name of Object.keys((await readIcons(packages, drawings)).icons)) drawn.add(name);
  const all = classesOf(Object.keys((await readIcons(packages, TEST)).icons), kindOf);
  const classes = new Map([...all].filter(([, names]) => names.some((name) => drawn.has(name))));
  const counts = { train: 0, val: 0, classes: classes.size };
  for (const drawings of [...TRAIN, TEST]) {
    const split = drawings === TEST ? 'val' : 'train';
    const icons = await readIcons(packages, drawings);
    const [, set] = drawings.package.split('/');
    for (const name of [...classes.values()].flatMap((names) => names.filter((each) => each in icons.icons))) {
      const kind = join(folder, split, kindOf.get(name) ?? '');
      mkdirSync(kind, { recursive: true });
      writeFileSync(join(kind, `${set}-${name}.png`), await draw(icons, name));
      counts[split]++;
    }
  }
  return counts;
}

/** The kind of each emoji by its name: 'dog' is an 'animal-mammal'. Variants by skin tone have no kind. */
async function readKinds(packages: string): Promise<Map<string, string>> {
  const folder = await fetchPackage(packages, KINDS);
  const groups = readJson<{ subgroups: Record<number, string> }>(folder, 'meta', 'groups.json').subgroups;
  const emoji = readJson<{ hexcode: string; subgroup?: number }[]>(folder, 'en', 'data.json');
  const plain = (code: string) => code.toLowerCase().replaceAll('-fe0f', '');
  const kinds = new Map(emoji.map(({ hexcode, subgroup }) => [plain(hexcode), groups[subgroup ?? -1]]));
  const named = new Map<string, string>();
  for (const drawings of [...TRAIN, TEST]) {
    const codes = readJson<Record<string, string>>(await fetchPackage(packages, drawings), 'chars.json');
    for (const [code, name] of Object.entries(codes)) {
      const kind = kinds.get(plain(code));
      if (kind !== undefined) named.set(name, kind);
    }
  }
  return named;
}

/** The names of the emoji of each class. */
function classesOf(names: readonly string[], kindOf: ReadonlyMap<string, string>): Map<string, string[]> {
  const classes = new Map<string, string[]>();
  for (const name of [...names].sort()) {
    const kind = kindOf.get(name);
    if (kind !== undefined) classes.set(kind, [...(classes.get(kind) ?? []), name]);
  }
  const large = [...classes].filter(([, all]) => all.length >= FEWEST);
  return new Map(large.sort(([a], [b]) => (a < b ? -1 : 1)).map(([kind, all]) => [kind, all.slice(0, MOST)]));
}

async function readIcons(packages: string, drawings: Drawings): Promise<IconSet> {
  const folder = await fetchPackage(packages, drawings);
  const { license } = readJson<{ license: { spdx: string } }>(folder, 'info.json');
  if (license.spdx !== drawings.licence) {
    throw new Error(`${drawings.package} is under ${license.spdx}, not ${drawings.licence}`);
  }
  return readJson<IconSet>(folder, 'icons.json');
}

async function draw({ icons, ...all }: IconSet, name: string): Promise<Buffer> {
  const { body, left = 0, top = 0, width = all.width, height = all.height } = icons[name];
  const box = `viewBox="${left} ${top} ${width} ${height}" width="${SIDE}" height="${SIDE}"`;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ${box}>${body}</svg>`;
  return sharp(Buffer.from(svg)).flatten({ background: 'white' }).removeAlpha().png().toBuffer();
}

/** The folder of a package, which is fetched by npm where it is not there. */
async function fetchPackage(packages: string, { package: name, version }: { package: string; version: string }) {
  const folder = join(packages, `${name.replace(/^@/, '').replace('/', '-')}-${version}`);
  if (existsSync(folder)) return folder;
  mkdirSync(packages, { recursive: true });
  const { code, output } = await runNpm(['pack', `${name}@${version}`, '--pack-destination', packages]);
  if (code !== 0) throw new Error(`npm could not fetch ${name}@${version}: ${output}`);
  const unpacking = `${folder}.unpacking`; // a folder of the package's name is a whole one
  rmSync(unpacking, { recursive: true, force: true });
  mkdirSync(unpacking);
  await extractArchive(`${folder}.tgz`, unpacking);
  renameSync(join(unpacking, 'package'), folder);
  rmSync(unpacking, { recursive: true });
  return folder;
}

function readJson<T>(...path: string[]): T {
  return JSON.parse(readFileSync(join(...path), 'utf8')) as T;
}
