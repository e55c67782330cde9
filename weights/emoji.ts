import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Drawings, drawIcon, readIcons } from './icons.js';
import { fetchPackage, readJson } from './packages.js';

/*
 * Pictures with labels: emoji out of npm packages, which are drawings with a free licence, and of one that names the kind of
 * each emoji.
 */

/** Those that are trained on. */
export const TRAIN: readonly Drawings[] = [
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

/**
 * Writes {train,val}/CLASS/SET-NAME.png below a folder, each emoji on white.
 * @param packages where packages lie, or are fetched to by npm
 * @returns how many pictures there are of each split, and of how many classes
 */
export async function makeEmoji(folder: string, packages: string) {
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
      writeFileSync(join(kind, `${set}-${name}.png`), await drawIcon(icons, name));
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
